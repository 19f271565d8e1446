//! The secret of this service, read by one thread for all who ask meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::introspection::{Fault, Secret};
use crate::sync::lock;

type Read = Option<Result<Arc<str>, String>>;

/// Reads a secret. A file or a function that hangs keeps one thread, and no more.
#[derive(Default)]
pub(super) struct Credentials {
    reading: Mutex<Option<watch::Receiver<Read>>>,
}

impl Credentials {
    /// Reads it as it is now, or joins who is reading it.
    pub(super) async fn read(&self, secret: &Secret, within: Duration) -> Result<Arc<str>, Fault> {
        let read = if secret.is_at_hand() {
            secret.read()
        } else {
            let mut reading = self.reading(secret);
            match timeout(within, reading.wait_for(Option::is_some)).await {
                // a function of the application may panic
                Ok(ended) => {
                    ended.ok().and_then(|read| read.clone()).unwrap_or_else(|| Err("its function panicked".to_owned()))
                }
                Err(_) => Err(format!("it has not been read within {} s", within.as_secs_f64())),
            }
        };
        read.map_err(|why| no_secret(&why))
    }

    fn reading(&self, secret: &Secret) -> watch::Receiver<Read> {
        let mut reading = lock(&self.reading);
        // one that has ended was another question's; one that panicked has let go of its end
        if let Some(goes_on) = reading.as_ref().filter(|read| read.borrow().is_none() && read.has_changed().is_ok()) {
            return goes_on.clone();
        }
        let (sender, receiver) = watch::channel(None);
        *reading = Some(receiver.clone());
        let secret = secret.clone();
        spawn_blocking(move || sender.send_replace(Some(secret.read())));
        receiver
    }
}

pub(super) fn no_secret(why: &str) -> Fault {
    Fault::outage(format!("the secret of this service cannot be had: {why}"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_function_that_hangs_keeps_one_thread_and_serves_all_when_it_ends() {
        let (calls, (release, released)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel::<()>());
        let (counted, released) = (Arc::clone(&calls), Mutex::new(released));
        let secret = Secret::from_fn(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            lock(&released).recv().map(|()| "s3cret".to_owned())
        });
        let credentials = Credentials::default();
        for _ in 0..100 {
            let late = credentials.read(&secret, Duration::ZERO).await.unwrap_err();
            assert!(late.outage && late.detail.contains("has not been read"), "{}", late.detail);
        }
        let waiting = futures_util::future::join_all((0..100).map(|_| credentials.read(&secret, LONG)));
        let (waited, sent) = tokio::join!(waiting, async { release.send(()) });
        sent.unwrap();
        assert!(waited.into_iter().all(|read| &*read.unwrap() == "s3cret"));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        // what comes later is read anew
        release.send(()).unwrap();
        assert_eq!(&*credentials.read(&secret, LONG).await.unwrap(), "s3cret");
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        drop(release);
        assert!(credentials.read(&secret, LONG).await.unwrap_err().detail.contains("its function failed"));
    }

    #[tokio::test]
    async fn a_function_that_panics_is_called_again() {
        let secret = Secret::from_fn(|| -> Result<String, String> { panic!("hunter2") });
        let credentials = Credentials::default();
        for _ in 0..2 {
            let fault = credentials.read(&secret, LONG).await.unwrap_err();
            assert!(fault.detail.contains("its function panicked"), "{}", fault.detail);
        }
    }
}
