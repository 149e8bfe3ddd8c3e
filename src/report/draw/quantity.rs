//! Numbers as tables show them.

use crossburn_hardware::units::{Hertz, Joule, Second, SquareMillimetre, Watt};

/// `value` with three significant digits.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// A quantity with three significant digits and its unit.
pub(crate) trait Shown {
    fn shown(self) -> String;
}

macro_rules! shown {
    ($($quantity:ident),+) => {
        $(impl Shown for $quantity {
            fn shown(self) -> String {
                $quantity::new(three_digits(self.get())).to_string().replace(" u", " µ")
            }
        })+
    };
}

shown!(Joule, Second, Hertz, Watt);

/// In square millimetres from a hundredth of one on.
impl Shown for SquareMillimetre {
    fn shown(self) -> String {
        let area = three_digits(self.get());
        match area {
            0.01.. => format!("{area} mm²"),
            _ => format!("{} µm²", three_digits(1e6 * area)),
        }
    }
}

/// Bits of memory in KiB, two decimals, without the unit.
pub(crate) fn kib(bits: u64) -> String {
    format!("{:.2}", bits as f64 / 8192.0)
}

/// A rate of items, three significant digits.
pub(crate) fn inferences_per_second(rate: Hertz) -> String {
    format!("{} inferences/s", grouped(three_digits(rate.get())))
}

/// A power of ten, such as 10⁻³, for the ticks of an axis in decades.
pub(crate) fn power_of_ten(power: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised = power
        .to_string()
        .chars()
        .map(|digit| match digit.to_digit(10) {
            Some(digit) => DIGITS[digit as usize],
            None => '⁻',
        })
        .collect::<String>();
    format!("10{raised}")
}

/// A count with its thousands apart.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn grouped(value: f64) -> String {
    if value >= 1000.0 {
        count(value as u64)
    } else {
        value.to_string()
    }
}

/// A fraction in per cent, one decimal.
pub(crate) fn share(fraction: f64) -> String {
    format!("{:.1} %", 100.0 * fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_are_raised() {
        assert_eq!(power_of_ten(6), "10⁶");
        assert_eq!(power_of_ten(0), "10⁰");
        assert_eq!(power_of_ten(-12), "10⁻¹²");
    }

    #[test]
    fn three_digits_and_a_unit_are_shown() {
        assert_eq!(Joule::new(1.23456e-6).shown(), "1.23 µJ");
        assert_eq!(Joule::new(9.999e-7).shown(), "1 µJ");
        assert_eq!(SquareMillimetre::new(0.00123456).shown(), "1230 µm²");
        assert_eq!(SquareMillimetre::new(0.0310).shown(), "0.031 mm²");
        assert_eq!(Second::new(0.0).shown(), "0 s");
        assert_eq!(
            inferences_per_second(Hertz::new(1234.5)),
            "1\u{202f}230 inferences/s"
        );
        assert_eq!(
            inferences_per_second(Hertz::new(2.34567)),
            "2.35 inferences/s"
        );
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(share(0.5), "50.0 %");
    }
}
