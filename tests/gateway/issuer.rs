//! A platform that signs tokens, and nodes that verify them.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::TestNode;

/// Key pairs in a folder, by name; `a` is the one that nodes verify with.
pub struct Keys {
    folder: TempDir,
}

impl Keys {
    /// With the pair `a`.
    pub fn new() -> Self {
        let keys = Self { folder: tempfile::tempdir().unwrap() };
        keys.make("a");
        keys
    }

    /// Makes another pair.
    pub fn make(&self, name: &str) {
        leftoff(&["token", "keys", "--dir", self.dir(name).to_str().unwrap()]);
    }

    /// Where a pair lies.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A token by a pair, with arguments of `leftoff token sign`.
    pub fn token(&self, name: &str, arguments: &[&str]) -> String {
        self.token_of(name, "account", arguments)
    }

    /// The same for another account.
    pub fn token_of(&self, name: &str, account: &str, arguments: &[&str]) -> String {
        let key = self.dir(name).join("tokens.key.pem");
        leftoff(&[&["token", "sign", account, "--key", key.to_str().unwrap()], arguments].concat()).trim().to_owned()
    }

    /// A node that wants tokens by the pair `a`.
    pub fn node(&self) -> TestNode {
        self.node_with(&[])
    }

    /// The same with further settings.
    pub fn node_with(&self, settings: &[(&str, &str)]) -> TestNode {
        let public = self.in_use();
        std::fs::copy(self.dir("a").join("tokens.pub.pem"), &public).unwrap();
        let keys = [("LEFTOFF_AUTH__KEY_FILES", public.to_str().unwrap()), ("LEFTOFF_AUTH__LEEWAY_MS", "0")];
        TestNode::with(&[&keys, settings].concat())
    }

    /// The file of the public key that the node verifies with.
    pub fn in_use(&self) -> PathBuf {
        self.folder.path().join("in-use.pem")
    }
}

fn leftoff(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_leftoff")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
