//! Puts the repository's scenarios into the binary, and the commit it was built from where there is one.
//!
//! Without git, or outside a work tree, the version stands for the commit; nothing here fails a build.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Asked when it runs: a build script may have been compiled in another copy of the repository.
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("cargo sets CARGO_MANIFEST_DIR"))?;
    let here = Path::new(&here);
    let folder = here.join("scenarios");
    let mut names: Vec<String> = fs::read_dir(&folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    let mut code = String::from("&[\n");
    for name in names {
        let path = folder.join(format!("{name}.toml"));
        let _ = writeln!(code, "    ({name:?}, include_str!({:?})),", path.display().to_string());
    }
    code.push(']');
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("library.rs"), code)?;

    let version = env!("CARGO_PKG_VERSION");
    let commit = git(here, &["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]).unwrap_or_else(|| format!("v{version}"));
    println!("cargo::rustc-env=LEFTOFF_COMMIT={commit}");
    for path in ["scenarios", "src", "../src", "build.rs"] {
        println!("cargo::rerun-if-changed={path}");
    }
    if let Some(log) = git(here, &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={}", here.join(log).display());
    }
    Ok(())
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
