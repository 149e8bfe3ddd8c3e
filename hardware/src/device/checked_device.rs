//! A checked device: programming, ageing and reading of cells.

use std::sync::Arc;

use crossburn_noise::{ChipDraws, ParameterDraws};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bulk::Bulk;
use super::refusal::microsiemens;
use super::registry::DeviceConfig;
use super::{ConductanceRange, Faults, IvCurve, Moments};
use crate::units::Second;
use crate::{HardwareError, toml_problem};

/// How one memory cell misses its target: in four lifetimes, and by faults.
///
/// | lifetime | drawn | method |
/// |---|---|---|
/// | programming error | at every write | [`Self::program`] |
/// | ageing: drift, relaxation | once per cell and write | [`Self::age`] |
/// | slow part of 1/f noise | once per cell and time of reading | [`Self::fluctuate`] |
/// | read noise | at every read | [`Self::read_sigma`] |
/// | faults | once per chip | [`Self::stick`] |
///
/// [`Self::cells`] does the first, the second and the last for one chip. In TOML one flat table, strict about its keys:
///
/// ```toml
/// kind = "pcm-mushroom"
/// g_max = "25 uS"
/// faults = { stuck_on = 0.001, stuck_off = 0.002 }
/// ```
///
/// ```
/// use crossburn_hardware::device::MemoryDevice;
/// use crossburn_noise::ChipSeed;
///
/// let device = MemoryDevice::preset("pcm-mushroom")?;
/// let targets = [0.0, 5.0, 25.0];                                                   // uS
/// let day = device.cells(&targets, "1 d".parse()?, ChipSeed::new(7, 17), "fc.weight/0")?;
/// assert!(day[2] < 25.0 && device.has_drift());
/// assert!(device.read_sigma(&day, "1 d".parse()?).is_some());
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryDevice {
    config: DeviceConfig,
    law: Arc<dyn Bulk>,
    faults: Option<Faults>,
}

/// The law is that of the configuration.
impl PartialEq for MemoryDevice {
    fn eq(&self, other: &Self) -> bool {
        (&self.config, self.faults) == (&other.config, other.faults)
    }
}

impl TryFrom<DeviceConfig> for MemoryDevice {
    type Error = HardwareError;

    fn try_from(config: DeviceConfig) -> Result<Self, HardwareError> {
        let law = config.check()?;
        Ok(Self {
            config,
            law,
            faults: None,
        })
    }
}

impl From<MemoryDevice> for DeviceConfig {
    /// The configuration, without faults.
    fn from(device: MemoryDevice) -> Self {
        device.config
    }
}

impl MemoryDevice {
    /// A device from the text of a TOML table.
    ///
    /// # Errors
    /// [`HardwareError::Text`] for a text that is no device, and what its check refuses.
    pub fn from_toml(text: &str) -> Result<Self, HardwareError> {
        let table = text
            .parse()
            .map_err(|error: toml::de::Error| unreadable(toml_problem(text, &error)))?;
        Self::from_table(table)
    }

    fn from_table(mut table: toml::Table) -> Result<Self, HardwareError> {
        let faults: Option<Faults> = match table.remove("faults") {
            Some(faults) => Some(faults.try_into().map_err(|error| in_table(&error))?),
            None => None,
        };
        let config: DeviceConfig = table.try_into().map_err(|error| in_table(&error))?;
        let device = Self::try_from(config)?;
        match faults {
            Some(faults) => device.with_faults(faults),
            None => Ok(device),
        }
    }

    /// The same device with stuck cells.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for fractions that are none.
    pub fn with_faults(self, faults: Faults) -> Result<Self, HardwareError> {
        Ok(Self {
            faults: Some(faults.check()?),
            ..self
        })
    }

    /// The configuration, without faults.
    pub fn config(&self) -> &DeviceConfig {
        &self.config
    }

    /// Stuck cells, if any are configured.
    pub fn faults(&self) -> Option<Faults> {
        self.faults
    }

    /// The conductances that weights are mapped to.
    pub fn range(&self) -> ConductanceRange {
        self.law.range()
    }

    /// The conductances of a cell with discrete levels, rising, uS; `None` for an analog cell.
    pub fn levels(&self) -> Option<Vec<f32>> {
        self.law.levels()
    }

    /// Refuses targets outside [`Self::range`], which no law is known for. A rounding of 32-bit floats past an end is in it.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] with the first such target.
    pub fn check_targets(&self, targets: &[f32]) -> Result<(), HardwareError> {
        let range = self.range();
        let slack = 4.0 * f32::EPSILON * range.g_max;
        let allowed = range.g_min - slack..=range.g_max + slack;
        match targets.iter().find(|target| !allowed.contains(target)) {
            None => Ok(()),
            Some(target) => Err(HardwareError::limit(
                "target",
                microsiemens(*target),
                format!("the range {range} of {}", self.config.kind()),
                "map weights into the range of the device",
            )),
        }
    }

    /// Conductances after one write of every cell, uS. `targets`, uS, lie in [`Self::range`].
    ///
    /// A cell's draw depends on its index alone: the result is the same on any number of threads.
    pub fn program(&self, targets: &[f32], draws: &dyn ParameterDraws) -> Vec<f32> {
        self.law.program(targets, draws)
    }

    /// Mean and standard deviation of a working cell that was just written, in closed form, clamps included.
    pub fn programming_moments(&self, target: f32) -> Moments {
        self.law.programming_moments(f64::from(target)).moments()
    }

    /// Whether the device has a time law.
    pub fn has_drift(&self) -> bool {
        self.law.has_drift()
    }

    /// Refuses times that the device cannot be aged to. At 0 every device is as it was programmed.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a time that is none or lies beyond the law, [`HardwareError::Conflict`] for a device
    /// without a time law.
    pub fn check_after(&self, after: Second) -> Result<(), HardwareError> {
        let seconds = after.get();
        if !(seconds.is_finite() && seconds >= 0.0) {
            return Err(HardwareError::limit(
                "after",
                after,
                "the times from 0 s",
                "give a finite time from 0 s on",
            ));
        }
        if seconds == 0.0 || self.law.check_after(seconds)? {
            return Ok(());
        }
        Err(HardwareError::conflict(
            format!(
                "after = {after} with the device {}, which has no time law",
                self.config.kind()
            ),
            "leave `after` out, or choose a device that drifts or relaxes",
        ))
    }

    /// Cells that were programmed to `programmed` for `targets`, `after` a time: drift and relaxation, drawn once per
    /// cell. The same `draws` at another time give the same cells, older or younger.
    ///
    /// # Errors
    /// Those of [`Self::check_after`], and [`HardwareError::Conflict`] where the numbers of cells and targets differ.
    pub fn age(
        &self,
        programmed: Vec<f32>,
        targets: &[f32],
        after: Second,
        draws: &dyn ParameterDraws,
    ) -> Result<Vec<f32>, HardwareError> {
        self.check_after(after)?;
        if programmed.len() != targets.len() {
            return Err(HardwareError::conflict(
                format!("{} cells and {} targets", programmed.len(), targets.len()),
                "age every cell with the target that it was programmed for",
            ));
        }
        if after.get() == 0.0 {
            return Ok(programmed);
        }
        self.law.age(programmed, targets, after.get(), draws)
    }

    /// Mean and standard deviation of a working cell `after` a time, over programming and ageing. Closed form over the
    /// draw of ageing, numeric over that of programming (error below 1e-5 of the standard deviation).
    ///
    /// # Errors
    /// Those of [`Self::check_after`].
    pub fn aged_moments(&self, target: f32, after: Second) -> Result<Moments, HardwareError> {
        self.check_after(after)?;
        let moments = match after.get() {
            0.0 => self.law.programming_moments(f64::from(target)),
            seconds => self.law.aged_moments(f64::from(target), seconds)?,
        };
        Ok(moments.moments())
    }

    /// Whether reads scatter.
    pub fn has_read_noise(&self) -> bool {
        self.law.has_read_noise()
    }

    /// Standard deviation of one read of every cell, uS, from the conductances `after` a time; `None` where the device
    /// has no read noise. Reads are independent of each other: of 1/f noise this is the fast part.
    pub fn read_sigma(&self, conductances: &[f32], after: Second) -> Option<Vec<f32>> {
        self.law.read_sigma(conductances, after.get().max(0.0))
    }

    /// Standard deviation of the noise that all reads of a cell at that time share, in uS, from the conductances `after` a
    /// time: the part of 1/f noise with periods above 1 s. `None` if the device has none.
    pub fn held_sigma(&self, conductances: &[f32], after: Second) -> Option<Vec<f32>> {
        self.law.held_sigma(conductances, after.get().max(0.0))
    }

    /// Moves cells to where the slow part of 1/f noise has them `after` a time, not below 0 uS; nothing where the device
    /// has none. Give every time a stream of its own.
    pub fn fluctuate(&self, cells: &mut [f32], after: Second, draws: &dyn ParameterDraws) {
        let Some(sigmas) = self.held_sigma(cells, after) else {
            return;
        };
        let mut normals = vec![0.0; cells.len()];
        draws.fill_normal(&mut normals);
        for (cell, (sigma, normal)) in cells.iter_mut().zip(sigmas.iter().zip(normals)) {
            *cell = (*cell + sigma * normal).max(0.0);
        }
    }

    /// The current of a cell that is no resistor; `None` where `I = g V`.
    pub fn iv_curve(&self) -> Option<IvCurve> {
        self.law.iv_curve()
    }

    /// Sets stuck cells to what they hold, last of all: the same `draws` find the same cells before and after ageing.
    pub fn stick(&self, cells: &mut [f32], draws: &dyn ParameterDraws) {
        if let Some(faults) = self.faults {
            faults.stick(self.range(), cells, draws);
        }
    }

    /// The cells of one plane of one chip `after` a time: programmed, aged, and stuck where they are faulty, without read
    /// noise.
    ///
    /// `path` names the plane; its streams are `path/program`, `path/age` and `path/faults`, so that ageing moves neither
    /// programming nor faults.
    ///
    /// # Errors
    /// Those of [`Self::check_targets`] and [`Self::check_after`].
    pub fn cells(
        &self,
        targets: &[f32],
        after: Second,
        chip: impl ChipDraws,
        path: &str,
    ) -> Result<Vec<f32>, HardwareError> {
        self.check_targets(targets)?;
        let draws = |lifetime: &str| chip.parameter(&format!("{path}/{lifetime}"));
        let programmed = self.program(targets, &*draws("program"));
        let mut cells = self.age(programmed, targets, after, &*draws("age"))?;
        self.stick(&mut cells, &*draws("faults"));
        Ok(cells)
    }
}

impl Serialize for MemoryDevice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The flat form.
        #[derive(Serialize)]
        struct Table<'a> {
            #[serde(flatten)]
            config: &'a DeviceConfig,
            #[serde(skip_serializing_if = "Option::is_none")]
            faults: Option<Faults>,
        }
        Table {
            config: &self.config,
            faults: self.faults,
        }
        .serialize(serializer)
    }
}

/// By hand, because serde's `flatten` would let unknown keys pass: `faults` is taken out of the table, and everything
/// else must belong to the device.
impl<'de> Deserialize<'de> for MemoryDevice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        Self::from_table(table).map_err(serde::de::Error::custom)
    }
}

/// A value of a table has no place in a text.
fn in_table(error: &toml::de::Error) -> HardwareError {
    unreadable(error.message().lines().collect::<Vec<_>>().join(" "))
}

fn unreadable(message: String) -> HardwareError {
    HardwareError::Text {
        what: "the device".to_string(),
        message,
    }
}
