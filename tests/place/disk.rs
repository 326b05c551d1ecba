//! A small disk of its own for a folder, which goes when this does. Needs root.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub struct Disk(CString);

impl Disk {
    /// `size` as tmpfs(5) has it: `size=6m`.
    pub fn mounted(at: &Path, size: &CStr) -> Disk {
        std::fs::create_dir_all(at).expect("a folder for the disk");
        let to = CString::new(at.as_os_str().as_bytes()).expect("a path");
        let tmpfs = c"tmpfs".as_ptr();
        // SAFETY: a system call that reads texts, which live through it; it concerns this thread and what it starts.
        let mounted = unsafe { libc::mount(tmpfs, to.as_ptr(), tmpfs, 0, size.as_ptr().cast()) };
        assert_eq!(mounted, 0, "a disk of one's own needs root: {}", std::io::Error::last_os_error());
        Disk(to)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // SAFETY: a system call that reads a text that lives through it.
        unsafe { libc::umount2(self.0.as_ptr(), libc::MNT_DETACH) };
    }
}
