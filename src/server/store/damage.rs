//! For tests: a log of which a page is damaged.

use super::Reader;
use std::path::Path;

/// Where the header of the file has the size of its pages, in two bytes.
const PAGE_SIZE: usize = 16;

/// Nobody reads the rows of the page that has the event `seq` any more. Nobody has the log open.
pub fn page_of(dir: &Path, seq: u64) {
    let text = Reader::of(dir).unwrap().line(seq).unwrap().expect("there is such an event");
    let file = super::schema::file(dir);
    let mut bytes = std::fs::read(&file).unwrap();
    let size = usize::from(u16::from_be_bytes([bytes[PAGE_SIZE], bytes[PAGE_SIZE + 1]]));
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
    let page = at.expect("it is in the file itself, and in one page") / size;
    assert!(page > 0, "the schema is there");
    bytes[page * size] = 0xff; // no kind of page
    std::fs::write(&file, bytes).unwrap();
}
