//! The terminal while burn-train's dashboard has it.
//!
//! The dashboard puts the terminal into raw mode, in which Ctrl-C is a key like any other, and it has no use for that key;
//! in its popup, where `c` means cancel, Ctrl-C even goes on. So the terminal is told to send the signal again. The rest of
//! raw mode stays: keys reach the dashboard one by one, and nothing is echoed.

use std::io::Write;
use std::time::{Duration, Instant};

use crossterm::cursor::Show;
use crossterm::event::DisableMouseCapture;
use crossterm::execute;
use crossterm::terminal::{LeaveAlternateScreen, disable_raw_mode, is_raw_mode_enabled};

/// The dashboard takes the terminal in a thread of its own, within milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether a dashboard has the terminal: a line on stderr would be drawn over it, and lost.
pub(super) fn is_taken() -> bool {
    is_raw_mode_enabled().unwrap_or(false)
}

/// Makes Ctrl-C a signal again as soon as a dashboard has the terminal. Where that is not possible, `q` is left.
pub(super) fn keep_ctrl_c() {
    let start = Instant::now();
    while !is_taken() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    #[cfg(unix)]
    send_signals();
}

/// Makes Ctrl-C a signal. The other two keys of the kind stay keys: they would stop or end the process with the terminal
/// in raw mode.
#[cfg(unix)]
fn send_signals() {
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

    /// `_POSIX_VDISABLE`: no key.
    const NO_KEY: u8 = if cfg!(any(target_os = "linux", target_os = "android")) {
        0
    } else {
        0xff
    };
    let terminal = std::io::stdin();
    if let Ok(mut modes) = tcgetattr(&terminal) {
        modes.local_modes |= LocalModes::ISIG;
        modes.special_codes[SpecialCodeIndex::VSUSP] = NO_KEY;
        modes.special_codes[SpecialCodeIndex::VQUIT] = NO_KEY;
        let _ = tcsetattr(&terminal, OptionalActions::Now, &modes);
    }
}

/// Gives the terminal back as it was before a dashboard took it, for a process that ends at once.
pub(super) fn give_back() {
    if is_taken() {
        let _ = disable_raw_mode();
        let mut stdout = std::io::stdout();
        let _ = execute!(stdout, DisableMouseCapture, LeaveAlternateScreen, Show);
        let _ = stdout.flush();
    }
}
