//! Says what the program is built from: `PLIMSOLL_COMMIT`, else the commit of the git checkout that
//! the source is, else nothing; and the profile and target.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=PLIMSOLL_COMMIT");
    let given = std::env::var("PLIMSOLL_COMMIT").ok().filter(|commit| !commit.trim().is_empty());
    let commit = given.or_else(commit_of_checkout).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=PLIMSOLL_BUILD_COMMIT={}", commit.trim());
    let of_cargo = |name: &str| std::env::var(name).unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo:rustc-env=PLIMSOLL_BUILD_PROFILE={}", of_cargo("PROFILE"));
    println!("cargo:rustc-env=PLIMSOLL_BUILD_TARGET={}", of_cargo("TARGET"));
}

/// The commit that is checked out, if the source is a checkout of its own and not a part of
/// somebody else's. Runs again only when that changes.
fn commit_of_checkout() -> Option<String> {
    let crate_folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    let root = crate_folder.parent()?.parent()?;
    // Always a file that is there: cargo would run the script each time for one that is not.
    println!("cargo:rerun-if-changed=build.rs");
    let top = PathBuf::from(git(root, &["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    let commit = git(root, &["rev-parse", "HEAD"])?;
    // HEAD changes with a checkout; its log with a commit, too.
    for name in ["HEAD", "logs/HEAD"] {
        let path = root.join(git(root, &["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    Some(commit)
}

fn git(folder: &Path, words: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(words).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
