//! The header: the place of each number, and its valid values.

use super::Orientation;
use super::orientation::Affine;
use crate::TrainingError;

/// Bytes of the header, and below with the four bytes after it that say whether extensions follow.
pub(super) const HEADER: usize = 348;
pub(super) const START: usize = 352;
/// The first four bytes of a NIfTI-2 file, as a number.
const HEADER_2: i32 = 540;

/// Offsets of fields.
pub(super) const DIM: usize = 40;
pub(super) const DATATYPE: usize = 70;
pub(super) const BITPIX: usize = 72;
const PIXDIM: usize = 76;
pub(super) const VOX_OFFSET: usize = 108;
pub(super) const SLOPE: usize = 112;
pub(super) const INTER: usize = 116;
const UNITS: usize = 123;
/// The range of intensities that viewers are asked to show: largest, then smallest.
pub(super) const CAL: [usize; 2] = [124, 128];
const QFORM: usize = 252;
const SFORM: usize = 254;
const QUATERNION: usize = 256;
const SROW: usize = 280;
const MAGIC: usize = 344;

/// The type in which voxels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voxel {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Voxel {
    /// The type with this code in `datatype`.
    fn of(code: i16) -> Option<Self> {
        Some(match code {
            2 => Self::U8,
            4 => Self::I16,
            8 => Self::I32,
            16 => Self::F32,
            64 => Self::F64,
            256 => Self::I8,
            512 => Self::U16,
            768 => Self::U32,
            1024 => Self::I64,
            1280 => Self::U64,
            _ => return None,
        })
    }

    pub(super) fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The voxels in `bytes` as 32-bit floats, scaled.
    pub(super) fn floats(
        self,
        bytes: &[u8],
        big_endian: bool,
        scale: Option<[f64; 2]>,
    ) -> Vec<f32> {
        macro_rules! floats {
            ($number:ty) => {
                bytes
                    .chunks_exact(size_of::<$number>())
                    .map(|bytes| {
                        let mut word = [0; size_of::<$number>()];
                        word.copy_from_slice(bytes);
                        let value = match big_endian {
                            true => <$number>::from_be_bytes(word),
                            false => <$number>::from_le_bytes(word),
                        };
                        match scale {
                            None => value as f32,
                            Some([slope, inter]) => (slope * value as f64 + inter) as f32,
                        }
                    })
                    .collect()
            };
        }
        match self {
            Self::U8 => floats!(u8),
            Self::I8 => floats!(i8),
            Self::U16 => floats!(u16),
            Self::I16 => floats!(i16),
            Self::U32 => floats!(u32),
            Self::I32 => floats!(i32),
            Self::U64 => floats!(u64),
            Self::I64 => floats!(i64),
            Self::F32 => floats!(f32),
            Self::F64 => floats!(f64),
        }
    }
}

/// The content of a header.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    /// The bytes of the header, unchanged.
    pub(super) bytes: Vec<u8>,
    pub(super) big_endian: bool,
    /// Lengths of the three axes of a volume, in voxels.
    pub(super) shape: [usize; 3],
    /// Number of volumes.
    pub(super) volumes: usize,
    pub(super) voxel: Voxel,
    /// Edges of a voxel along the three axes, in millimetres.
    pub(super) edges: [f64; 3],
    /// Offset of the first voxel.
    pub(super) offset: usize,
    /// Slope and intercept of the scaling; `None` if values are not scaled.
    pub(super) scale: Option<[f64; 2]>,
    /// From voxels to places in millimetres.
    pub(super) affine: Affine,
    pub(super) orientation: Orientation,
}

impl Header {
    /// Reads the first [`START`] bytes of a file, or all if it is shorter; `place` names it.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names the field.
    pub(super) fn read(place: &str, bytes: &[u8]) -> Result<Self, TrainingError> {
        let bad = |problem: String, remedy: &str| TrainingError::data(place, problem, remedy);
        let convert = "convert it to NIfTI-1 in one file (.nii or .nii.gz)";
        if bytes.len() < HEADER {
            let problem = format!(
                "it has {} bytes, the header of NIfTI-1 has 348",
                bytes.len()
            );
            return Err(bad(problem, convert));
        }
        let first = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let (little, big) = (i32::from_le_bytes(first), i32::from_be_bytes(first));
        let big_endian = match HEADER as i32 {
            size if size == little => false,
            size if size == big => true,
            _ if [little, big].contains(&HEADER_2) => {
                return Err(bad(
                    "this is NIfTI-2, which is not read".to_string(),
                    convert,
                ));
            }
            _ => {
                return Err(bad(
                    "this is no NIfTI-1 file: its first number is not 348".to_string(),
                    convert,
                ));
            }
        };
        match &bytes[MAGIC..HEADER] {
            b"n+1\0" => {}
            b"ni1\0" => {
                let problem = "its magic says that the voxels are in another file (.hdr and .img)";
                return Err(bad(problem.to_string(), convert));
            }
            _ => {
                return Err(bad(
                    "its magic is not n+1: this is no NIfTI-1 file".to_string(),
                    convert,
                ));
            }
        }
        let fields = Fields { bytes, big_endian };
        let (shape, volumes) = fields.shape().map_err(|problem| bad(problem, convert))?;
        let code = fields.short(DATATYPE);
        let voxel = Voxel::of(code).ok_or_else(|| {
            let problem = format!("datatype = {code} ({}) is not read", kind(code));
            bad(
                problem,
                "convert it to whole numbers or floats of 8 to 64 bits",
            )
        })?;
        let bits = fields.short(BITPIX);
        if usize::try_from(bits) != Ok(8 * voxel.size()) {
            let problem = format!(
                "bitpix = {bits}, datatype = {code} has {} bits",
                8 * voxel.size()
            );
            return Err(bad(problem, convert));
        }
        let edges = fields
            .edges()
            .map_err(|problem| bad(problem, "correct the sizes of its voxels"))?;
        let offset = fields.float(VOX_OFFSET);
        if offset.fract() != 0.0 || !(START as f32..=(1 << 30) as f32).contains(&offset) {
            let problem = format!("vox_offset = {offset} is no place after the header");
            return Err(bad(problem, convert));
        }
        let [slope, inter] = [SLOPE, INTER].map(|place| f64::from(fields.float(place)));
        let scaled = slope != 0.0 && slope.is_finite();
        if scaled && !inter.is_finite() {
            let problem = format!("scl_inter = {inter} beside scl_slope = {slope}");
            return Err(bad(problem, "correct its slope and intercept"));
        }
        let affine = fields
            .affine()
            .map_err(|problem| bad(problem, "correct its sform or qform"))?;
        let orientation = Orientation::of(&affine).ok_or_else(|| {
            bad(
                "its affine folds axes onto each other".to_string(),
                "correct its sform or qform",
            )
        })?;
        Ok(Self {
            bytes: bytes.to_vec(),
            big_endian,
            shape,
            volumes,
            voxel,
            edges,
            offset: offset as usize,
            scale: (scaled && [slope, inter] != [1.0, 0.0]).then_some([slope, inter]),
            affine,
            orientation,
        })
    }

    /// Number of voxels of one volume.
    pub(super) fn voxels(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The meaning of a code that is not supported.
fn kind(code: i16) -> &'static str {
    match code {
        0 => "unknown",
        1 => "single bits",
        32 | 1792 | 2048 => "complex numbers",
        128 | 2304 => "colours",
        1536 => "floats of 128 bits",
        _ => "no type of the standard",
    }
}

/// Reads numbers at offsets of the header.
struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    fn word<const N: usize>(&self, place: usize) -> [u8; N] {
        let mut word = [0; N];
        word.copy_from_slice(&self.bytes[place..place + N]);
        if self.big_endian {
            word.reverse();
        }
        word
    }

    fn short(&self, place: usize) -> i16 {
        i16::from_le_bytes(self.word(place))
    }

    fn float(&self, place: usize) -> f32 {
        f32::from_le_bytes(self.word(place))
    }

    /// Lengths of the axes of a volume, and the number of volumes.
    fn shape(&self) -> Result<([usize; 3], usize), String> {
        let axes = self.short(DIM);
        if !(2..=7).contains(&axes) {
            return Err(format!(
                "dim[0] = {axes}: a volume has 3 axes, several have 4"
            ));
        }
        let mut lengths = [1usize; 7];
        for (axis, length) in lengths.iter_mut().enumerate().take(axes as usize) {
            let given = self.short(DIM + 2 * (axis + 1));
            *length = usize::try_from(given)
                .ok()
                .filter(|length| *length > 0)
                .ok_or_else(|| {
                    format!(
                        "dim[{}] = {given}: an axis has a length of 1 or more",
                        axis + 1
                    )
                })?;
        }
        // Each length is below 2^15, so that four of them fit into 64 bits.
        let volumes: usize = lengths[3..].iter().product();
        match volumes < 1 << 16 {
            true => Ok(([lengths[0], lengths[1], lengths[2]], volumes)),
            false => Err("dim: it has more than 65,535 volumes".to_string()),
        }
    }

    /// The unit of lengths, in millimetres.
    fn unit(&self) -> f64 {
        // The low three bits of xyzt_units: 1 is metres, 3 is micrometres. Everything else counts as millimetres.
        match self.bytes[UNITS] & 7 {
            1 => 1000.0,
            3 => 0.001,
            _ => 1.0,
        }
    }

    /// Edges of a voxel in millimetres.
    fn edges(&self) -> Result<[f64; 3], String> {
        let mut edges = [0.0; 3];
        for (axis, edge) in edges.iter_mut().enumerate() {
            let given = self.float(PIXDIM + 4 * (axis + 1));
            if !(given.is_finite() && given > 0.0) {
                return Err(format!(
                    "pixdim[{}] = {given}: a voxel has an edge above 0",
                    axis + 1
                ));
            }
            *edge = f64::from(given) * self.unit();
        }
        Ok(edges)
    }

    /// From voxels to places in the head, in millimetres: sform if it is set, otherwise qform, otherwise only the edges of a voxel.
    fn affine(&self) -> Result<Affine, String> {
        let floats = |place: usize| -> [f64; 4] {
            [0, 1, 2, 3].map(|number| f64::from(self.float(place + 4 * number)))
        };
        let (affine, name) = if self.short(SFORM) > 0 {
            ([0, 1, 2].map(|row| floats(SROW + 16 * row)), "sform")
        } else {
            let edges = [1, 2, 3].map(|axis| f64::from(self.float(PIXDIM + 4 * axis)));
            match self.short(QFORM) > 0 {
                true => (self.of_quaternion(edges)?, "qform"),
                false => {
                    let row = |axis: usize| {
                        let mut row = [0.0; 4];
                        row[axis] = edges[axis];
                        row
                    };
                    ([0, 1, 2].map(row), "pixdim")
                }
            }
        };
        match affine.iter().flatten().all(|value| value.is_finite()) {
            true => Ok(affine.map(|row| row.map(|value| value * self.unit()))),
            false => Err(format!("{name} holds a number that is not finite")),
        }
    }

    /// Method 2 of the standard: a rotation by a quaternion whose first part is not stored, and `qfac` = pixdim[0], the sign of the third axis.
    fn of_quaternion(&self, edges: [f64; 3]) -> Result<Affine, String> {
        let at = |number: usize| f64::from(self.float(QUATERNION + 4 * number));
        let [b, c, d] = [at(0), at(1), at(2)];
        let squares = b * b + c * c + d * d;
        // The rounding of 32-bit floats may lead to slightly more than 1.
        if squares.is_nan() || squares > 1.0 + 1e-5 {
            return Err(format!(
                "quatern_b, _c, _d = {b}, {c}, {d}: their squares add up to more than 1"
            ));
        }
        let a = (1.0 - squares).max(0.0).sqrt();
        let rotation = [
            [
                a * a + b * b - c * c - d * d,
                2.0 * (b * c - a * d),
                2.0 * (b * d + a * c),
            ],
            [
                2.0 * (b * c + a * d),
                a * a + c * c - b * b - d * d,
                2.0 * (c * d - a * b),
            ],
            [
                2.0 * (b * d - a * c),
                2.0 * (c * d + a * b),
                a * a + d * d - b * b - c * c,
            ],
        ];
        let side = if self.float(PIXDIM) < 0.0 { -1.0 } else { 1.0 };
        let scales = [edges[0], edges[1], side * edges[2]];
        Ok([0, 1, 2].map(|row| {
            let [x, y, z] = [0, 1, 2].map(|column| rotation[row][column] * scales[column]);
            [x, y, z, at(3 + row)]
        }))
    }
}
