//! The members of a ZIP archive, as `numpy.savez` and `numpy.savez_compressed` write them.
//!
//! # Source
//! PKWARE, APPNOTE.TXT 6.3: sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16 (its end), 4.5.3
//! (64-bit sizes).

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::stored_bytes::StoredBytes;
use crate::TrainingError;

/// Largest unpacked size of a member that is read, in MiB.
const LARGEST: u64 = 4096;
/// Largest list of members that is read, in bytes; it holds half a million members.
const LONGEST_LIST: u64 = 64 << 20;
/// Bytes that go into the checksum at a time.
const PIECE: usize = 1 << 18;
/// Bytes at the end of a file in which the record that ends the archive must begin: the record, and the longest comment after it.
const END: u64 = 22 + 0xffff;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// An open archive.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    file: File,
    length: u64,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    name: String,
    encrypted: bool,
    method: u16,
    checksum: u32,
    packed: u64,
    unpacked: u64,
    /// Offset of the member's local header in the file.
    header: u64,
}

impl Archive {
    /// Opens the archive `path` and reads the list of its members.
    ///
    /// # Errors
    /// [`TrainingError::Read`]; [`TrainingError::Data`] if the file is no archive.
    pub(super) fn open(path: &Path) -> Result<Self, TrainingError> {
        let failed = |cause| TrainingError::Read {
            path: path.to_path_buf(),
            cause,
        };
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let members = members(&file, length).map_err(|cause| match cause.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => TrainingError::data(
                path.display().to_string(),
                format!("this is no NumPy archive: {cause}"),
                "save it with numpy.savez",
            ),
            _ => failed(cause),
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            length,
            members,
        })
    }

    /// The names of the members, in the order of the list.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// Size of the whole file in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Gives the result of `read` for the member `name`. `read` gets a reader of the unpacked bytes and their number, and must read to the
    /// end.
    ///
    /// # Errors
    /// Those of `read`; [`TrainingError::Data`] if the archive has no such member, or if the member is damaged or unpacks to more than
    /// [`LARGEST`].
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut dyn Read, u64) -> Result<T, TrainingError>,
    ) -> Result<T, TrainingError> {
        self.read_up_to(LARGEST, name, read)
    }

    fn read_up_to<T>(
        &mut self,
        mebibytes: u64,
        name: &str,
        read: impl FnOnce(&mut dyn Read, u64) -> Result<T, TrainingError>,
    ) -> Result<T, TrainingError> {
        let found = self.find(name)?;
        if found.deflated && found.unpacked > mebibytes << 20 {
            return Err(TrainingError::data(
                self.place(name),
                format!(
                    "it has more than {mebibytes} MiB unpacked, the most that a packed array may have"
                ),
                "save the arrays with numpy.savez, which does not pack them",
            ));
        }
        let packed = (&self.file).take(found.data.end - found.data.start);
        let mut crc = Crc::new();
        let result = if found.deflated {
            let unpacked = DeflateDecoder::new(BufReader::with_capacity(1 << 16, packed));
            read(&mut Summing(unpacked, &mut crc), found.unpacked)?
        } else {
            read(&mut Summing(packed, &mut crc), found.unpacked)?
        };
        self.check_sum(name, &crc, found.checksum)?;
        Ok(result)
    }

    /// The file, and the range of the bytes of the member `name` in it, after their checksum was compared; `None` for a packed member.
    ///
    /// # Errors
    /// [`TrainingError::Read`]; [`TrainingError::Data`] if the archive has no such member, or if it is damaged.
    pub(super) fn stored(
        &self,
        name: &str,
    ) -> Result<Option<(StoredBytes, Range<u64>)>, TrainingError> {
        let found = self.find(name)?;
        if found.deflated {
            return Ok(None);
        }
        let failed = |cause| TrainingError::Read {
            path: self.path.clone(),
            cause,
        };
        let file = StoredBytes::of(&self.path, self.file.try_clone().map_err(failed)?)?;
        let (mut crc, mut piece) = (Crc::new(), vec![0; PIECE]);
        let mut reader = file.reader(found.data.clone());
        loop {
            match reader.read(&mut piece).map_err(failed)? {
                0 => break,
                count => crc.update(&piece[..count]),
            }
        }
        drop(reader);
        self.check_sum(name, &crc, found.checksum)?;
        Ok(Some((file, found.data)))
    }

    fn place(&self, name: &str) -> String {
        format!("{}, {name}", self.path.display())
    }

    fn bad(&self, name: &str, problem: &str) -> TrainingError {
        TrainingError::data(self.place(name), problem, "save it again with numpy.savez")
    }

    fn check_sum(&self, name: &str, crc: &Crc, expected: u32) -> Result<(), TrainingError> {
        match crc.sum() == expected {
            true => Ok(()),
            false => Err(self.bad(name, "its checksum is wrong: the file is damaged")),
        }
    }

    /// Finds the data of the member `name`, and moves the file to their beginning.
    fn find(&self, name: &str) -> Result<Found, TrainingError> {
        let member = self.members.iter().find(|member| member.name == name);
        let member = member.ok_or_else(|| self.bad(name, "there is no such member"))?;
        if member.encrypted {
            return Err(self.bad(name, "it is encrypted"));
        }
        let deflated = member.method == DEFLATED;
        if !deflated && member.method != STORED {
            let problem = format!("it is packed by method {}", member.method);
            return Err(self.bad(name, &problem));
        }
        let start = data_start(&self.file, member.header)
            .map_err(|cause| self.bad(name, &format!("its header is damaged ({cause})")))?;
        let end = start.checked_add(member.packed);
        let within = end.filter(|end| *end <= self.length);
        match within.filter(|_| deflated || member.packed == member.unpacked) {
            None => Err(self.bad(name, "its size is not that of the file")),
            Some(end) => Ok(Found {
                data: start..end,
                unpacked: member.unpacked,
                deflated,
                checksum: member.checksum,
            }),
        }
    }
}

/// Where the data of a member are, and how they are packed.
struct Found {
    /// Their range in the file.
    data: Range<u64>,
    unpacked: u64,
    deflated: bool,
    checksum: u32,
}

/// A reader that updates a checksum with the bytes that pass.
struct Summing<'a, R>(R, &'a mut Crc);

impl<R: Read> Read for Summing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.update(&buffer[..count]);
        Ok(count)
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// A record of an archive; reads little-endian numbers at offsets.
struct Record<'a>(&'a [u8]);

impl Record<'_> {
    fn u16(&self, at: usize) -> io::Result<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> io::Result<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> io::Result<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&self, at: usize) -> io::Result<[u8; N]> {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        bytes.copied().ok_or_else(|| invalid("a record is cut off"))
    }
}

fn at(mut file: &File, position: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(position))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn members(file: &File, length: u64) -> io::Result<Vec<Member>> {
    let tail_start = length.saturating_sub(END + 20);
    let tail = at(file, tail_start, END + 20)?;
    let end = tail.windows(4).rposition(|four| four == b"PK\x05\x06");
    let end = end.ok_or_else(|| invalid("it has no list of members"))?;
    let record = Record(&tail[end..]);
    let (mut size, mut start) = (u64::from(record.u32(12)?), u64::from(record.u32(16)?));
    let locator = end.checked_sub(20).map(|at| Record(&tail[at..end]));
    if let Some(locator) = locator.filter(|locator| locator.0.starts_with(b"PK\x06\x07")) {
        let wide = at(file, locator.u64(8)?, 56)?;
        let wide = Record(&wide);
        if !wide.0.starts_with(b"PK\x06\x06") {
            return Err(invalid("the end of its list of members is damaged"));
        }
        (size, start) = (wide.u64(40)?, wide.u64(48)?);
    }
    if size > LONGEST_LIST || start.checked_add(size).is_none_or(|end| end > length) {
        return Err(invalid("its list of members has an impossible size"));
    }
    let list = at(file, start, size)?;
    let mut members = Vec::new();
    let mut from = 0;
    while from < list.len() {
        let record = Record(&list[from..]);
        if !record.0.starts_with(b"PK\x01\x02") {
            return Err(invalid("its list of members is damaged"));
        }
        let name = 46..46 + usize::from(record.u16(28)?);
        let extra = name.end..name.end + usize::from(record.u16(30)?);
        let length = extra.end + usize::from(record.u16(32)?);
        let part = |range| {
            record
                .0
                .get(range)
                .ok_or_else(|| invalid("a member is cut off"))
        };
        let mut member = Member {
            name: String::from_utf8_lossy(part(name)?).into_owned(),
            encrypted: record.u16(8)? & 1 == 1,
            method: record.u16(10)?,
            checksum: record.u32(16)?,
            packed: u64::from(record.u32(20)?),
            unpacked: u64::from(record.u32(24)?),
            header: u64::from(record.u32(42)?),
        };
        member.widen(part(extra)?)?;
        members.push(member);
        from += length;
    }
    Ok(members)
}

impl Member {
    /// Reads sizes that do not fit into 32 bits from the extra fields.
    fn widen(&mut self, mut extra: &[u8]) -> io::Result<()> {
        while extra.len() >= 4 {
            let field = Record(extra);
            let (id, size) = (field.u16(0)?, usize::from(field.u16(2)?));
            let body = extra.get(4..4 + size);
            let body = body.ok_or_else(|| invalid("an extra field is cut off"))?;
            if id == 1 {
                let mut offset = 0;
                for value in [&mut self.unpacked, &mut self.packed, &mut self.header] {
                    if *value == u64::from(u32::MAX) {
                        *value = Record(body).u64(offset)?;
                        offset += 8;
                    }
                }
            }
            extra = &extra[4 + size..];
        }
        Ok(())
    }
}

/// Moves `file` to the data of the member whose local header is at `header`, and gives their offset.
fn data_start(mut file: &File, header: u64) -> io::Result<u64> {
    let local = at(file, header, 30)?;
    let local = Record(&local);
    if !local.0.starts_with(b"PK\x03\x04") {
        return Err(invalid("it does not start with PK"));
    }
    let start = 30 + u64::from(local.u16(26)?) + u64::from(local.u16(28)?);
    let start = header
        .checked_add(start)
        .ok_or_else(|| invalid("it starts nowhere"))?;
    file.seek(SeekFrom::Start(start))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
pub(super) mod writing {
    //! Archives for tests.

    use std::io::Write;

    /// An archive of `members`, stored or deflated.
    pub(in crate::data) fn archive(members: &[(&str, Vec<u8>)], deflated: bool) -> Vec<u8> {
        let (mut bytes, mut list) = (Vec::new(), Vec::new());
        for (name, content) in members {
            let mut crc = flate2::Crc::new();
            crc.update(content);
            let packed = match deflated {
                true => {
                    let level = flate2::Compression::best();
                    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
                    encoder.write_all(content).unwrap();
                    encoder.finish().unwrap()
                }
                false => content.clone(),
            };
            let header = bytes.len() as u32;
            // Version, flags, method, time and date, checksum, sizes, lengths of name and extra fields.
            let mut common = vec![20, 0, 0, 0, if deflated { 8 } else { 0 }, 0, 0, 0, 0, 0];
            common.extend(crc.sum().to_le_bytes());
            common.extend((packed.len() as u32).to_le_bytes());
            common.extend((content.len() as u32).to_le_bytes());
            common.extend((name.len() as u16).to_le_bytes());
            common.extend([0, 0]);
            bytes.extend(b"PK\x03\x04");
            bytes.extend(&common);
            bytes.extend(name.as_bytes());
            bytes.extend(packed);
            list.extend(b"PK\x01\x02\x14\x00");
            list.extend(&common);
            // Length of the comment, disk, attributes.
            list.extend([0; 10]);
            list.extend(header.to_le_bytes());
            list.extend(name.as_bytes());
        }
        let (size, start) = (list.len() as u32, bytes.len() as u32);
        bytes.extend(list);
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        let count = (members.len() as u16).to_le_bytes();
        bytes.extend([count, count].concat());
        bytes.extend([size.to_le_bytes(), start.to_le_bytes(), [0; 4]].concat());
        // The comment has two bytes of length alone.
        bytes.truncate(bytes.len() - 2);
        bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::writing::archive;
    use super::*;

    fn opened(bytes: &[u8]) -> (tempfile::TempDir, Result<Archive, TrainingError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.npz");
        std::fs::write(&path, bytes).unwrap();
        let archive = Archive::open(&path);
        (folder, archive)
    }

    fn content(
        archive: &mut Archive,
        mebibytes: u64,
        name: &str,
    ) -> Result<Vec<u8>, TrainingError> {
        archive.read_up_to(mebibytes, name, |reader, available| {
            let mut bytes = Vec::new();
            reader
                .read_to_end(&mut bytes)
                .map_err(|cause| TrainingError::data("x", cause.to_string(), ""))?;
            assert_eq!(bytes.len() as u64, available);
            Ok(bytes)
        })
    }

    fn two() -> Vec<(&'static str, Vec<u8>)> {
        vec![("a.npy", vec![7; 1000]), ("b.npy", (0..=255).collect())]
    }

    #[test]
    fn stored_and_deflated_members_are_read() {
        for deflated in [false, true] {
            let (_folder, archive) = opened(&archive(&two(), deflated));
            let mut archive = archive.unwrap();
            assert_eq!(archive.names().collect::<Vec<_>>(), ["a.npy", "b.npy"]);
            for (name, expected) in two() {
                let stored = archive.stored(name).unwrap().map(|(file, range)| {
                    let mut bytes = Vec::new();
                    file.reader(range).read_to_end(&mut bytes).unwrap();
                    bytes
                });
                assert_eq!(stored, (!deflated).then(|| expected.clone()));
                assert_eq!(content(&mut archive, 1, name).unwrap(), expected);
            }
            let read = content(&mut archive, 1, "c.npy").unwrap_err();
            let stored = archive.stored("c.npy").unwrap_err();
            for message in [read.to_string(), stored.to_string()] {
                assert!(
                    message.contains("set.npz, c.npy: there is no such member"),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn sizes_of_64_bits_are_read() {
        let mut bytes = archive(&two(), false);
        let list = bytes
            .windows(4)
            .position(|four| four == b"PK\x01\x02")
            .unwrap();
        // The first member's sizes move into an extra field.
        let mut wide = bytes.split_off(list);
        wide[20..28].copy_from_slice(&[0xff; 8]);
        wide[30] = 20;
        let field = [
            &[1, 0, 16, 0][..],
            &1000u64.to_le_bytes(),
            &1000u64.to_le_bytes(),
        ]
        .concat();
        wide.splice(46 + 5..46 + 5, field);
        let end = wide
            .windows(4)
            .position(|four| four == b"PK\x05\x06")
            .unwrap();
        // The place of the list moves into the records of 64 bits.
        let record_at = (list + end) as u64;
        let mut record = b"PK\x06\x06".to_vec();
        record.extend([0; 36]);
        record.extend((end as u64).to_le_bytes());
        record.extend((list as u64).to_le_bytes());
        let mut locator = b"PK\x06\x07\0\0\0\0".to_vec();
        locator.extend(record_at.to_le_bytes());
        locator.extend([1, 0, 0, 0]);
        wide[end + 12..end + 20].copy_from_slice(&[0xff; 8]);
        wide.splice(end..end, [record, locator].concat());
        bytes.extend(wide);
        let (_folder, archive) = opened(&bytes);
        let mut archive = archive.unwrap();
        for (name, expected) in two() {
            assert_eq!(content(&mut archive, 1, name).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let good = archive(&two(), false);
        for (bytes, part) in [
            (Vec::new(), "no list of members"),
            (b"\x93NUMPY and so on".to_vec(), "no list of members"),
            (good[..good.len() - 30].to_vec(), "no list of members"),
            (good[200..].to_vec(), "impossible size"),
            (
                [&good[..good.len() - 6], &[0xff; 6]].concat(),
                "impossible size",
            ),
        ] {
            let (_folder, archive) = opened(&bytes);
            let message = archive.unwrap_err().to_string();
            assert!(
                message.contains("set.npz: this is no NumPy archive: ")
                    && message.contains(part)
                    && message.ends_with("; save it with numpy.savez"),
                "{message}"
            );
        }
    }

    #[test]
    fn damaged_members_are_refused() {
        let good = archive(&two(), false);
        let list = good
            .windows(4)
            .position(|four| four == b"PK\x01\x02")
            .unwrap();
        let changed = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        for (bytes, part) in [
            (changed(60, 8), "its checksum is wrong"),
            (changed(0, 0), "its header is damaged"),
            (changed(list + 8, 1), "it is encrypted"),
            (changed(list + 10, 14), "it is packed by method 14"),
            (changed(list + 21, 0xff), "its size is not that of the file"),
            (changed(list + 25, 0), "its size is not that of the file"),
        ] {
            let (_folder, archive) = opened(&bytes);
            let mut archive = archive.unwrap();
            let message = content(&mut archive, 1, "a.npy").unwrap_err().to_string();
            assert!(
                message.contains("set.npz, a.npy") && message.contains(part),
                "{message}"
            );
            assert_eq!(archive.stored("a.npy").unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_member_that_unpacks_to_more_than_the_limit_is_refused_unread() {
        let bomb = archive(&[("a.npy", vec![0; (1 << 20) + 1])], true);
        assert!(bomb.len() < 2000);
        let (_folder, archive) = opened(&bomb);
        let mut archive = archive.unwrap();
        let message = content(&mut archive, 1, "a.npy").unwrap_err().to_string();
        assert!(
            message.ends_with(
                "set.npz, a.npy: it has more than 1 MiB unpacked, the most that a packed array may have; save the arrays with \
                 numpy.savez, which does not pack them"
            ),
            "{message}"
        );
        assert_eq!(
            content(&mut archive, 2, "a.npy").unwrap().len(),
            (1 << 20) + 1
        );
    }
}
