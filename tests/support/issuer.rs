//! Whoever signs tokens for the platform: the command line's own keys and tokens.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A key pair for tokens.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    folder: PathBuf,
}

fn leftoff(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_leftoff")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Issuer {
    pub(crate) fn make(folder: &Path) -> Self {
        leftoff(&["token", "keys", "--dir", folder.to_str().unwrap()]);
        Self { folder: folder.to_owned() }
    }

    pub(crate) fn public_key(&self) -> PathBuf {
        self.folder.join("tokens.pub.pem")
    }

    /// A token that holds profiles, for an hour.
    pub(crate) fn token(&self, account: &str, profiles: &[&str]) -> String {
        self.sign(account, profiles, &[])
    }

    /// A token that ends after so many seconds.
    pub(crate) fn token_for(&self, seconds: u64, account: &str, profiles: &[&str]) -> String {
        self.sign(account, profiles, &["--ttl", &seconds.to_string()])
    }

    fn sign(&self, account: &str, profiles: &[&str], further: &[&str]) -> String {
        let key = self.folder.join("tokens.key.pem");
        let mut arguments = vec!["token", "sign", account, "--key", key.to_str().unwrap()];
        profiles.iter().for_each(|profile| arguments.extend(["--profile", profile]));
        arguments.extend(further);
        leftoff(&arguments)
    }
}
