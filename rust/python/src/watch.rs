//! Long calls that answer Ctrl-C and report progress.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use fractalrs_core::error::Error;
use fractalrs_core::threads::Progress;
use pyo3::prelude::*;

use crate::errors::raised;

/// How often a long call looks for Ctrl-C and reports progress.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// Takes what is made elsewhere, and meanwhile answers signals; `take` waits for it as long as it is told.
pub fn wait<T: Send>(py: Python<'_>, take: impl Fn(Duration) -> Result<Poll<T>, Error> + Sync) -> PyResult<T> {
    loop {
        if let Poll::Ready(made) = py.detach(|| take(HEARTBEAT)).map_err(raised)? {
            return Ok(made);
        }
        py.check_signals()?;
    }
}

/// Runs `job` on a thread of its own and meanwhile answers signals and reports progress.
pub fn watch<T: Send>(
    py: Python<'_>,
    callback: Option<&Bound<'_, PyAny>>,
    job: impl FnOnce(&Progress) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let progress = Progress::default();
    let report = || -> PyResult<()> {
        let Some(callback) = callback else { return Ok(()) };
        let interactions = progress.interactions.load(Ordering::Relaxed);
        callback.call1((interactions, progress.parts.load(Ordering::Relaxed)))?;
        Ok(())
    };
    let caller = thread::current();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let worker = thread::Builder::new().spawn_scoped(scope, || {
            let outcome = job(&progress);
            done.store(true, Ordering::Release);
            caller.unpark();
            outcome
        });
        let worker = worker.map_err(|error| raised(Error::NoThread(error.to_string())))?;
        let mut interruption = None;
        // A job that panics never says it is done.
        while !done.load(Ordering::Acquire) && !worker.is_finished() {
            py.detach(|| thread::park_timeout(HEARTBEAT));
            if let Err(error) = py.check_signals().and_then(|()| report()) {
                progress.cancel.store(true, Ordering::Relaxed);
                interruption.get_or_insert(error);
            }
        }
        let outcome = py.detach(|| worker.join().unwrap_or(Err(Error::Panicked)));
        if let Some(error) = interruption {
            return Err(error);
        }
        let finished = outcome.map_err(raised)?;
        report()?;
        Ok(finished)
    })
}
