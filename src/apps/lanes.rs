//! Runs independent jobs side by side, each on its share of the cores.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Result;
use rayon::ThreadPoolBuilder;

/// Calls `work` for every job, `lanes` jobs at a time. After an error, or once `stop` is set, no further job begins.
///
/// A lane is a thread pool of its own. One small network cannot use several cores, but several networks can.
///
/// # Errors
/// One of the errors of `work`.
pub(crate) fn in_lanes<J: Sync>(
    lanes: usize,
    stop: &AtomicBool,
    jobs: &[J],
    work: impl Fn(&J) -> Result<()> + Sync,
) -> Result<()> {
    let lanes = lanes.clamp(1, jobs.len().max(1));
    let threads = rayon::current_num_threads().div_ceil(lanes);
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let lane = || {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build()?;
        while !stop.load(Ordering::SeqCst) && !failed.load(Ordering::SeqCst) {
            let Some(job) = jobs.get(next.fetch_add(1, Ordering::SeqCst)) else {
                break;
            };
            if let Err(error) = pool.install(|| work(job)) {
                failed.store(true, Ordering::SeqCst);
                return Err(error);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        running
            .into_iter()
            .try_for_each(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::sync::Mutex;

    use anyhow::bail;

    use super::*;

    /// Runs twenty jobs; gives those that were done, and the result.
    fn done(
        lanes: usize,
        stop: bool,
        work: impl Fn(u64) -> Result<()> + Sync,
    ) -> (Vec<u64>, Result<()>) {
        let (done, stop) = (Mutex::new(Vec::new()), AtomicBool::new(stop));
        let jobs: Vec<u64> = (0..20).collect();
        let ended = in_lanes(lanes, &stop, &jobs, |job| {
            work(*job)?;
            done.lock().unwrap().push(*job);
            Ok(())
        });
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        (done, ended)
    }

    #[test]
    fn every_job_is_done_once() {
        for lanes in [0, 1, 3, 64] {
            let (done, ended) = done(lanes, false, |_| Ok(()));
            ended.unwrap();
            assert_eq!(done, (0..20).collect::<Vec<_>>(), "{lanes}");
        }
        in_lanes(2, &AtomicBool::new(false), &[(); 0], |_| bail!("no job")).unwrap();
    }

    #[test]
    fn nothing_begins_behind_an_error_or_a_stop() {
        let fails = |job| if job == 4 { bail!("job {job}") } else { Ok(()) };
        let (finished, ended) = done(1, false, fails);
        assert_eq!(
            (finished, ended.unwrap_err().to_string()),
            (vec![0, 1, 2, 3], "job 4".to_string())
        );
        let (finished, ended) = done(3, false, fails);
        assert_eq!(ended.unwrap_err().to_string(), "job 4");
        assert!(!finished.contains(&4));
        let (finished, ended) = done(3, true, |_| Ok(()));
        ended.unwrap();
        assert!(finished.is_empty());
    }

    #[test]
    fn lanes_share_the_cores() {
        let cores = rayon::current_num_threads();
        let (_, ended) = done(20, false, |_| {
            assert_eq!(rayon::current_num_threads(), cores.div_ceil(20));
            Ok(())
        });
        ended.unwrap();
    }
}
