//! A data directory of a test's own, which goes with it.

use std::ops::Deref;
use std::path::{Path, PathBuf};

pub struct Folder(PathBuf);

impl Folder {
    /// `name`: each test's own.
    pub fn new(name: &str) -> Folder {
        let folder = Folder(std::env::temp_dir().join(format!("tierline-ticketing-{}-{name}", std::process::id())));
        _ = std::fs::remove_dir_all(&folder.0);
        std::fs::create_dir_all(&folder.0).expect("a folder for a test");
        folder
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}
