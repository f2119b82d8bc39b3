//! Symbolic links below a [`Root`].

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Location, RecordedEntry, Root, link_within, live_path, names_until};
use crate::machine::Reason;
use crate::observe::process::is_ended;

impl Root {
    /// The target of a symbolic link; absent where it is not a link.
    pub(crate) fn link(&self, path: &str) -> Result<String, Reason> {
        let target = self.target(path)?;
        if let Some(mut tap) = self.tap() {
            tap.tree.insert(path, RecordedEntry::Link(target.clone()));
        }
        target
            .into_os_string()
            .into_string()
            .map_err(|_| Reason::Absent)
    }

    fn target(&self, path: &str) -> Result<PathBuf, Reason> {
        if self.denied.contains(path) {
            return Err(Reason::Denied);
        }
        let target = match &self.location {
            Location::Live => self.live_link(path),
            Location::Folder(root) => link_within(root, path),
            Location::Archive(tree) => tree.link(path).ok_or(ErrorKind::NotFound.into()),
        };
        target.map_err(|error| match path.rsplit_once('/') {
            // A recording has no such link: its replay cannot even list the folder.
            Some((folder, _)) if folder.ends_with("/fd") => self.link_reason(folder, &error),
            _ => self.link_reason(path, &error),
        })
    }

    /// The reason why a link cannot be read. A recording keeps `denied` where the reason is "permission denied".
    fn link_reason(&self, denied: &str, error: &io::Error) -> Reason {
        match error.raw_os_error() {
            // It is not a link.
            Some(number) if number == Errno::INVAL.raw_os_error() => Reason::Absent,
            _ => self.reason(denied, error),
        }
    }

    /// Passes the names and targets of the links in a folder to `take`, as the folder has them, until it breaks. They are not
    /// collected: half a million may have a target of 4 KiB each. A recording has those for which `take` gives `true`.
    ///
    /// # Errors
    /// Where the folder or a link may not be read: the other links would be refused too.
    pub(crate) fn each_link(
        &self,
        folder: &str,
        mut take: impl FnMut(&str, &str) -> ControlFlow<(), bool>,
    ) -> Result<(), Reason> {
        let mut refused = None;
        let mut next = |name: &str, target: Result<PathBuf, Reason>| {
            let target = match target {
                Ok(target) => target,
                // It was removed since the listing, or is not a link.
                Err(reason) if is_ended(&reason) => return ControlFlow::Continue(()),
                Err(reason) => {
                    refused = Some(reason);
                    return ControlFlow::Break(());
                }
            };
            let Some(text) = target.to_str() else {
                return ControlFlow::Continue(());
            };
            if take(name, text)?
                && let Some(mut tap) = self.tap()
            {
                let path = format!("{folder}/{name}");
                tap.tree.insert(path, RecordedEntry::Link(target));
            }
            ControlFlow::Continue(())
        };
        if self.is_live() {
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
            let open = self.open_at(folder, flags);
            let open = open.map_err(|error| self.reason(folder, &error))?;
            let mut buffer = Vec::new();
            let listed = names_until(&open, &mut |name| {
                let link = rustix::fs::readlinkat(&open, name, std::mem::take(&mut buffer));
                let link = link.map(|link| {
                    let target = PathBuf::from(OsStr::from_bytes(link.as_bytes()));
                    buffer = link.into_bytes();
                    target
                });
                let error = |error: Errno| self.link_reason(folder, &error.into());
                next(name, link.map_err(error))
            });
            listed.map_err(|error| self.reason(folder, &error))?;
        } else {
            for name in self.names(folder)? {
                let path = format!("{folder}/{name}");
                if next(&name, self.target(&path)).is_break() {
                    break;
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn live_link(&self, path: &str) -> io::Result<PathBuf> {
        let Some((folder, below)) = self.held.above(path) else {
            return std::fs::read_link(live_path(path));
        };
        let target = rustix::fs::readlinkat(&folder, below, Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }
}
