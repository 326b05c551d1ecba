//! Whether a path still names the file that we have open: one that is removed or replaced goes on taking what is
//! written, and all of it is lost when it is closed.

use anyhow::{Context, Result, bail};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A path, and the file that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    path: PathBuf,
    file: (u64, u64),
}

impl Named {
    /// # Errors
    /// There is no file of that name.
    pub fn new(path: &Path) -> Result<Named> {
        let file = file(path).with_context(|| format!("`{}` cannot be looked at", path.display()))?;
        Ok(Named { path: path.to_owned(), file })
    }

    /// # Errors
    /// The path names nothing, or another file. Where we may not look any more, what is open goes on.
    pub fn check(&self) -> Result<()> {
        match file(&self.path) {
            Ok(now) if now != self.file => bail!("`{}` is another file than the one that is open", self.path.display()),
            Err(why) if why.kind() == ErrorKind::NotFound => bail!("`{}` is gone", self.path.display()),
            _ => Ok(()),
        }
    }
}

fn file(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_removed_or_replaced_is_noticed_and_one_that_comes_back_is_known() {
        let dir = std::env::temp_dir().join(format!("tierline-named-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let [path, aside] = ["a", "b"].map(|name| dir.join(name));
        std::fs::write(&path, "x").unwrap();
        let named = Named::new(&path).unwrap();
        assert!(named.check().is_ok());
        std::fs::rename(&path, &aside).unwrap();
        assert!(named.check().unwrap_err().to_string().contains("is gone"));
        std::fs::write(&path, "x").unwrap();
        assert!(named.check().unwrap_err().to_string().contains("another file"));
        std::fs::rename(&aside, &path).unwrap();
        assert!(named.check().is_ok());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
