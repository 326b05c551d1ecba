//! What the system says about this process and its disk, under the names that Prometheus' own clients use.

use crate::stats::Sample;
use crate::stats::families as f;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What can be told; the system may keep something to itself.
pub fn samples(data: &Path) -> Vec<Sample> {
    let mut samples = vec![f::BUILD.flag([env!("CARGO_PKG_VERSION")], true)];
    if let Some((cpu, age)) = times() {
        let started = super::clock::wall().0 as f64 / 1000.0 - age;
        samples.extend([f::CPU.sample([], cpu), f::STARTED.sample([], started)]);
    }
    samples.extend(resident().map(|bytes| f::MEMORY.sample([], bytes)));
    samples.extend(std::fs::read_dir("/proc/self/fd").ok().map(|open| f::OPEN_FDS.count([], open.count() as u64)));
    samples.extend(most_files().map(|most| f::MAX_FDS.count([], most)));
    if let Some((free, all)) = room(data) {
        samples.extend([f::DATA_FREE.count([], free), f::DATA_SIZE.count([], all)]);
    }
    samples.push(f::LOG_SIZE.count([], size_of(data, "events.db")));
    samples.push(f::RECORDS_SIZE.count([], size_of(data, "records.db")));
    samples
}

/// Processor time, and the process's age: proc(5), fields 14, 15 and 22 of `stat`. Of `/proc` nothing but the process
/// itself is looked at: under a hardened unit (`ProcSubset=pid`) there is nothing else.
fn times() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    // SAFETY: a plain system call.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let mut since_boot = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value of the right type that lives on.
    let told = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut since_boot) } == 0;
    let since_boot = told.then(|| since_boot.tv_sec as f64 + since_boot.tv_nsec as f64 / 1e9)?;
    Some(((ticks(14)? + ticks(15)?) / per_second, since_boot - ticks(22)? / per_second))
}

fn resident() -> Option<f64> {
    let pages: f64 = std::fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: a plain system call.
    Some(pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64)
}

fn most_files() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a value of the right type that lives on.
    (unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0).then_some(limit.rlim_cur)
}

/// Free bytes, and all, of the file system that `dir` is on.
#[expect(clippy::unnecessary_cast, reason = "these types differ between systems")]
pub fn room(dir: &Path) -> Option<(u64, u64)> {
    let path = CString::new(dir.as_os_str().as_bytes()).ok()?;
    // SAFETY: a struct of integers may be zero; the pointers are to values that live on.
    let (said, on) = unsafe {
        let mut on: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &raw mut on), on)
    };
    (said == 0).then(|| (on.f_bavail as u64 * on.f_frsize as u64, on.f_blocks as u64 * on.f_frsize as u64))
}

/// From now on memory comes in small pages, also where the allocator or the system would take huge ones: of these a few used
/// kilobytes hold two megabytes, and a server with a thousand waiting callers had twice the memory for it. Where the system
/// cannot, nothing changes.
pub fn takes_small_pages() {
    const ON: libc::c_ulong = 1;
    const UNUSED: libc::c_ulong = 0;
    // SAFETY: a plain system call, which reads no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, ON, UNUSED, UNUSED, UNUSED) };
}

/// Of a database, with what waits to be moved into it; 0 if it is not there.
fn size_of(data: &Path, name: &str) -> u64 {
    let size = |file: &str| std::fs::metadata(data.join(file)).map_or(0, |meta| meta.len());
    size(name) + size(&format!("{name}-wal"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Value;

    #[test]
    fn no_page_is_huge() {
        takes_small_pages();
        // SAFETY: a plain system call.
        let disabled = unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, 0, 0, 0, 0) };
        assert_eq!(disabled, 1);
    }

    fn value_in(samples: &[Sample], family: &crate::stats::Family) -> f64 {
        let sample = samples.iter().find(|sample| sample.family == family);
        match sample.map(|sample| &sample.value) {
            Some(Value::Number(value)) => *value,
            other => panic!("{} is {other:?}", family.name),
        }
    }

    #[test]
    fn databases_have_the_size_of_their_files() {
        let dir = std::env::temp_dir().join(format!("tierline-process-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let sizes = || [&f::LOG_SIZE, &f::RECORDS_SIZE].map(|family| value_in(&samples(&dir), family));
        assert_eq!(sizes(), [0.0, 0.0]);
        for (file, bytes) in [("events.db", 1), ("events.db-wal", 20), ("records.db", 300), ("records.db-wal", 4_000)] {
            std::fs::write(dir.join(file), vec![7; bytes]).expect("a file");
        }
        assert_eq!(sizes(), [21.0, 4_300.0]);
        std::fs::remove_dir_all(&dir).expect("a folder");
    }

    #[test]
    fn the_system_tells_all_of_it() {
        let samples = samples(Path::new("/tmp"));
        let value = |family| value_in(&samples, family);
        assert!(value(&f::CPU) >= 0.0 && value(&f::MEMORY) > 1e6 && value(&f::OPEN_FDS) >= 3.0);
        assert!(value(&f::MAX_FDS) >= value(&f::OPEN_FDS));
        assert!(value(&f::DATA_SIZE) >= value(&f::DATA_FREE) && value(&f::DATA_SIZE) > 0.0);
        let now = crate::server::clock::wall().0 as f64 / 1000.0;
        assert!((now - 3_600.0..=now).contains(&value(&f::STARTED)), "started {}", value(&f::STARTED));
    }
}
