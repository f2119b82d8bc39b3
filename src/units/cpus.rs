//! Sets of CPUs.

use std::fmt;

/// A logical CPU's number, as in `/sys/devices/system/cpu/cpuN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpu(pub u32);

/// A set of CPUs, printed as the kernel prints one (`0-23,48-71`).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct CpuSet {
    /// Bit `n % 64` of word `n / 64` is CPU `n`. The last word is never zero, so that equal sets
    /// compare equal.
    words: Vec<u64>,
}

impl CpuSet {
    /// The CPUs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Cpu> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(word, at)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| Cpu(at * 64 + bit))
        })
    }

    /// Whether there is no CPU in it.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether `cpu` is in it.
    pub fn contains(&self, cpu: Cpu) -> bool {
        let word = self.words.get(cpu.0 as usize / 64);
        word.is_some_and(|word| word >> (cpu.0 % 64) & 1 == 1)
    }

    /// From words of 64 bits, the lowest first.
    pub fn from_words(mut words: Vec<u64>) -> Self {
        while words.last() == Some(&0) {
            words.pop();
        }
        Self { words }
    }

    /// Adds one CPU.
    pub fn insert(&mut self, cpu: Cpu) {
        let at = cpu.0 as usize / 64;
        if self.words.len() <= at {
            self.words.resize(at + 1, 0);
        }
        self.words[at] |= 1 << (cpu.0 % 64);
    }
}

impl FromIterator<Cpu> for CpuSet {
    fn from_iter<I: IntoIterator<Item = Cpu>>(cpus: I) -> Self {
        let mut set = Self::default();
        cpus.into_iter().for_each(|cpu| set.insert(cpu));
        set
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ranges(self.iter().map(|cpu| cpu.0)))
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuSet({self})")
    }
}

/// Ascending numbers as the kernel writes a list (`%*pbl`): `0-1,3`; the empty string for none.
pub fn ranges(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = number,
            _ => runs.push((number, number)),
        }
    }
    let written = runs.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    written.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_runs_as_the_kernel_does() {
        assert_eq!(ranges([]), "");
        assert_eq!(ranges([0, 1, 3, 64, 65, 66]), "0-1,3,64-66");
        assert_eq!(ranges([u32::MAX, 0]), "4294967295,0");
    }

    #[test]
    fn holds_what_was_put_in() {
        let set: CpuSet = [70, 0, 3].map(Cpu).into_iter().collect();
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            [Cpu(0), Cpu(3), Cpu(70)],
            "ascending, over word borders"
        );
        assert!(set.contains(Cpu(70)) && !set.contains(Cpu(6)) && !set.contains(Cpu(9999)));
    }
}
