# shellcheck shell=bash
# The files that all packages have, and where a distribution looks for them.

# Manual pages and completions, by the program itself.
write_documents() {
    step "manual pages and completions"
    local program=$work/x86_64/numa-audit
    rm -rf "$work/man" "$work/complete"
    mkdir -p "$work/complete"
    "$program" man --dir "$work/man"
    "$program" completions bash >"$work/complete/numa-audit.bash"
    "$program" completions zsh >"$work/complete/_numa-audit"
    "$program" completions fish >"$work/complete/numa-audit.fish"
}

# lay_tree FOLDER ARCHITECTURE ZSH: the files as they are installed; ZSH is the distribution's folder for zsh's functions.
lay_tree() {
    local share=$1/usr/share page
    rm -rf "$1"
    install -Dm 755 "$work/$2/numa-audit" "$1/usr/bin/numa-audit"
    install -d "$share/man/man1"
    for page in "$work"/man/*.1; do
        gzip -9nc "$page" >"$share/man/man1/${page##*/}.gz"
    done
    install -Dm 644 "$work/complete/numa-audit.bash" "$share/bash-completion/completions/numa-audit"
    install -Dm 644 "$work/complete/_numa-audit" "$share/zsh/$3/_numa-audit"
    install -Dm 644 "$work/complete/numa-audit.fish" "$share/fish/vendor_completions.d/numa-audit.fish"
    install -Dm 644 "$root/README.md" "$share/doc/numa-audit/README.md"
    cp -r "$root/contrib" "$share/doc/numa-audit/examples"
}

# set_times FOLDER: modes and times that do not depend on who builds, and when.
set_times() {
    chmod -R u+rwX,go+rX,go-w "$1"
    find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}
