//! Files as `torch.save` writes them: a ZIP archive of stored entries, with a pickle that names tensors.
#![allow(dead_code, reason = "every test file uses its part")]

/// A tensor of 32-bit floats.
pub(crate) struct Tensor<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: &'a [usize],
    pub(crate) values: &'a [f32],
}

/// Opcodes of a pickle of protocol 2.
#[derive(Default)]
pub(crate) struct Pickle(pub(crate) Vec<u8>);

impl Pickle {
    pub(crate) fn op(mut self, code: &[u8]) -> Self {
        self.0.extend(code);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        let length = (text.len() as u32).to_le_bytes();
        self.op(b"X").op(&length).op(text.as_bytes())
    }

    pub(crate) fn global(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    fn number(self, number: usize) -> Self {
        self.op(b"J").op(&(number as i32).to_le_bytes())
    }

    fn numbers(self, numbers: impl IntoIterator<Item = usize>) -> Self {
        let mark = self.op(b"(");
        numbers.into_iter().fold(mark, Self::number).op(b"t")
    }

    fn ordered_dict(self) -> Self {
        self.global("collections", "OrderedDict").op(b")R")
    }

    /// `torch._utils._rebuild_tensor_v2(storage, 0, shape, stride, False, OrderedDict())`.
    fn tensor(self, shape: &[usize], storage: usize) -> Self {
        let strides = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product());
        self.global("torch._utils", "_rebuild_tensor_v2")
            .op(b"((")
            .text("storage")
            .global("torch", "FloatStorage")
            .text(&storage.to_string())
            .text("cpu")
            .number(shape.iter().product())
            .op(b"tQ")
            .number(0)
            .numbers(shape.iter().copied())
            .numbers(strides)
            .op(b"\x89")
            .ordered_dict()
            .op(b"tR")
    }

    /// A state dict, with the versions of modules that PyTorch attaches to it.
    pub(crate) fn state_dict(self, tensors: &[Tensor]) -> Self {
        let mut pickle = self.ordered_dict().op(b"(");
        for (storage, tensor) in tensors.iter().enumerate() {
            pickle = pickle.text(tensor.name).tensor(tensor.shape, storage);
        }
        pickle.op(b"u}").text("_metadata").ordered_dict().op(b"sb")
    }
}

/// The file of `content`, whose tensors are `tensors`.
pub(crate) fn archive(content: Pickle, tensors: &[Tensor]) -> Vec<u8> {
    let pickle = Pickle(b"\x80\x02".to_vec()).op(&content.0).op(b".").0;
    let mut entries = vec![
        ("archive/data.pkl".to_string(), pickle),
        ("archive/byteorder".to_string(), b"little".to_vec()),
    ];
    for (storage, tensor) in tensors.iter().enumerate() {
        let raw = tensor.values.iter().flat_map(|x| x.to_le_bytes()).collect();
        entries.push((format!("archive/data/{storage}"), raw));
    }
    entries.push(("archive/version".to_string(), b"3\n".to_vec()));
    zip(&entries)
}

/// What `torch.save` writes for a state dict of `tensors`.
pub(crate) fn saved(tensors: &[Tensor]) -> Vec<u8> {
    archive(Pickle::default().state_dict(tensors), tensors)
}

fn zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let start = file.len() as u32;
        let mut header = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header.extend(crc32(content).to_le_bytes());
        header.extend((content.len() as u32).to_le_bytes());
        header.extend((content.len() as u32).to_le_bytes());
        header.extend((name.len() as u16).to_le_bytes());
        header.extend([0, 0]);
        file.extend(b"PK\x03\x04");
        file.extend(&header);
        file.extend(name.as_bytes());
        file.extend(content);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&header);
        directory.extend([0; 10]);
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (count, start) = (entries.len() as u16, file.len() as u32);
    let length = directory.len() as u32;
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend(count.to_le_bytes());
    file.extend(count.to_le_bytes());
    file.extend(length.to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

/// The checksum of ZIP archives, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    };
    !bytes.iter().fold(!0, step)
}
