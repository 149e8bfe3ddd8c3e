//! What the paper and the pilot study say, measured.

use anyhow::{Result, bail};

use super::arms::{AUTOENCODER, PATCHED, REGIMES, Regime, T2, WHOLE, patched, reversed, untrained};
use super::chips::{CHIP_MAPS, Deviation, on_chips};
use super::maps::{ALPHA, MAPS, OWN, RATIO, auprc, dice};
use crate::apps::reproduce::cells::Cells;
use crate::apps::reproduce::claim::{Expected, claim, differences};
use crate::report::Claim;

pub(super) const NOT_BELOW: (Expected, &str) = (Expected::AtLeast(0.0), "≥ 0");
const NOT_ABOVE: (Expected, &str) = (Expected::AtMost(0.0), "≤ 0");

/// A number of an arm.
pub(super) type Of<'a> = (&'a str, &'a str);

/// The claims so far.
pub(super) struct Claims<'a> {
    cells: &'a Cells,
    all: Vec<Claim>,
}

/// All claims.
pub(super) fn claims(cells: &Cells) -> Result<Vec<Claim>> {
    let mut claims = Claims::new(cells);
    for regime in REGIMES {
        claims.of_regime(&regime)?;
    }
    claims.of_training()?;
    claims.of_alpha()?;
    claims.of_chips()?;
    Ok(claims.done())
}

/// By how many per cent each of `new` exceeds that of `old`; `base` names the arm and the number of `old`.
fn percent(new: &[f64], old: &[f64], base: Of<'_>) -> Result<Vec<f64>> {
    let (arm, number) = base;
    let pairs = new.iter().zip(old);
    let percent = pairs.map(|(new, old)| match *old {
        0.0 => bail!("{arm}: its {number} is 0, so a change in per cent is not defined"),
        old => Ok(100.0 * (new / old - 1.0)),
    });
    percent.collect()
}

impl<'a> Claims<'a> {
    /// No claims on `cells` yet.
    pub(super) fn new(cells: &'a Cells) -> Self {
        Self {
            cells,
            all: Vec::new(),
        }
    }

    /// All of them.
    pub(super) fn done(self) -> Vec<Claim> {
        self.all
    }

    /// Adds a claim on these numbers, one for each seed.
    ///
    /// # Errors
    /// A training without the number.
    pub(super) fn add(
        &mut self,
        what: String,
        expected: (Expected, &str),
        measured: Vec<f64>,
    ) -> Result<()> {
        self.all.push(claim(what, expected, measured)?);
        Ok(())
    }

    /// The difference of two numbers, seed by seed, in points.
    pub(super) fn over(&self, (left, of_left): Of<'_>, (right, of_right): Of<'_>) -> Vec<f64> {
        let cells = self.cells;
        differences(&cells.of(left, of_left), &cells.of(right, of_right))
    }

    /// The same in per cent of the other number.
    fn percent(&self, (new, of_new): Of<'_>, (base, of_base): Of<'_>) -> Result<Vec<f64>> {
        let cells = self.cells;
        percent(
            &cells.of(new, of_new),
            &cells.of(base, of_base),
            (base, of_base),
        )
    }

    /// Adds the claim that one number is a tenth larger than another, or more. It is in points, since a network that finds nothing has a Dice
    /// coefficient of 0.
    ///
    /// # Errors
    /// A training without the number.
    pub(super) fn add_tenth_more(
        &mut self,
        (new, of_new): Of<'_>,
        (old, of_old): Of<'_>,
        paper: &str,
    ) -> Result<()> {
        let raised = self.cells.of(old, of_old).into_iter();
        let raised: Vec<f64> = raised.map(|old| 1.1 * old).collect();
        let gain = differences(&self.cells.of(new, of_new), &raised);
        let what = format!("points, {of_new} of {new} over 1.1 times {of_old} of {old}");
        let expected = format!("≥ 0: 10 % more; {paper}");
        self.add(what, (Expected::AtLeast(0.0), &expected), gain)
    }

    /// The map alone, of healthy brains with an error.
    fn of_regime(&mut self, regime: &Regime) -> Result<()> {
        let [l1, ssim, fq] = MAPS.map(|(map, _)| auprc(map));
        let name = untrained(regime);
        let turned = reversed(&name);
        for arm in [&name, &turned] {
            let gain = self.over((arm, &fq), (arm, &ssim));
            let what = format!("points of AUPRC, FQ over SSIM, {arm}");
            self.add(what, NOT_BELOW, gain)?;
        }
        let by_reversal = match regime.reversal_helps {
            true => NOT_BELOW,
            false => NOT_ABOVE,
        };
        let ratios = |arm: &str| self.cells.values(arm, RATIO);
        let gain = differences(&ratios(&turned), &ratios(&name));
        let what = format!("{RATIO} by reversal, {name}");
        self.add(what, by_reversal, gain)?;
        for map in [&ssim, &fq] {
            let gain = self.over((&turned, map), (&name, map));
            let what = format!("points of {map} by reversal, {name}");
            self.add(what, by_reversal, gain)?;
        }
        let (expected, said) = match regime.fusion_wins {
            true => (NOT_BELOW, "FQ over l1"),
            false => (NOT_ABOVE, "FQ over l1, which wins on bright lesions"),
        };
        let gain = self.over((&name, &fq), (&name, &l1));
        let what = format!("points of AUPRC, {said}, {name}");
        self.add(what, expected, gain)
    }

    /// Trained networks.
    fn of_training(&mut self) -> Result<()> {
        let fq = auprc("FQ");
        let plain = patched(0.0);
        for (number, paper) in [(auprc as fn(&str) -> String, 15), (dice, 20)] {
            let [new, old] = [number("FQ"), number("l1")];
            let paper = format!("the paper has {paper} % on BraTS21");
            self.add_tenth_more((PATCHED, &new), (&plain, &old), &paper)?;
        }
        for (arm, expected) in [
            (PATCHED, (Expected::AtLeast(5.0), "≥ 5 %")),
            (T2, (Expected::AtMost(0.0), "≤ 0: no gain")),
        ] {
            let gain = self.percent((&reversed(arm), &fq), (arm, &fq))?;
            let what = format!("per cent of AUPRC by reversal, {arm}");
            self.add(what, expected, gain)?;
        }
        for (better, worse) in [(PATCHED, WHOLE), (WHOLE, AUTOENCODER)] {
            let gain = self.over((better, &fq), (worse, &fq));
            let what = format!("points of AUPRC, {better} over {worse}");
            self.add(what, NOT_BELOW, gain)?;
        }
        Ok(())
    }

    /// The share of structural similarity that a network learns with and is judged by.
    fn of_alpha(&mut self) -> Result<()> {
        for number in [auprc(OWN), dice(OWN)] {
            for share in [0.0, 1.0] {
                let gain = self.over((PATCHED, &number), (&patched(share), &number));
                let what = format!("points of {number}, α = {ALPHA} over α = {share}");
                self.add(what, NOT_BELOW, gain)?;
            }
            let better = |shares: [f64; 2]| -> Vec<f64> {
                let [a, b] = shares.map(|share| self.cells.of(&patched(share), &number));
                a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect()
            };
            let gain = differences(&better([0.5, ALPHA]), &better([0.0, 1.0]));
            let what = format!(
                "points of {number}, the better of α = 0.5 and {ALPHA} over the better of 0 and 1, seed by seed"
            );
            self.add(what, NOT_BELOW, gain)?;
        }
        Ok(())
    }

    /// What is left on chips of the AUPRC of either map.
    fn of_chips(&mut self) -> Result<()> {
        for arm in [PATCHED.to_string(), patched(0.0)] {
            for deviation in Deviation::all() {
                let kept =
                    |map| self.percent((&arm, &on_chips(map, deviation)), (&arm, &auprc(map)));
                let [l1, fq] = CHIP_MAPS.map(|(map, _)| kept(map));
                let gain = differences(&fq?, &l1?);
                let what = format!(
                    "points, the share of its AUPRC that FQ keeps on chips of {} over the share that l1 keeps, {arm}",
                    deviation.name()
                );
                self.add(what, NOT_BELOW, gain)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_nothing_is_refused_by_name() {
        let base = ("patched l1", "Dice l1");
        let found = percent(&[30.0, 10.0], &[25.0, 20.0], base).unwrap();
        assert!((found[0] - 20.0).abs() < 1e-12 && (found[1] + 50.0).abs() < 1e-12);
        let message = percent(&[30.0, 10.0], &[25.0, 0.0], base).unwrap_err();
        let expected = "patched l1: its Dice l1 is 0, so a change in per cent is not defined";
        assert_eq!(message.to_string(), expected);
    }
}
