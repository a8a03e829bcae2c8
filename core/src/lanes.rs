//! Work that has to wait for other work of the same kind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Lane, OwnedMutexGuard};

/// One piece of work at a time for each key, in the order of asking.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lanes(Arc<Mutex<HashMap<String, Weak<Lane<()>>>>>);

impl Lanes {
    /// Waits until all that entered before with the same key have left, which they do by dropping what they
    /// got. Whoever drops the future has not entered.
    pub(crate) async fn enter(&self, key: String) -> OwnedMutexGuard<()> {
        self.lane(key).lock_owned().await
    }

    fn lane(&self, key: String) -> Arc<Lane<()>> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = lanes.get(&key).and_then(Weak::upgrade);
        lane.unwrap_or_else(|| {
            let lane = Arc::default();
            lanes.insert(key, Arc::downgrade(&lane));
            lane
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_at_a_time_for_each_key() {
        let lanes = Lanes::default();
        let enter = |key: &str| lanes.enter(key.to_owned());
        let first = enter("a").now_or_never().expect("nobody is there");
        let mut second = Box::pin(enter("a"));
        let mut third = Box::pin(enter("a"));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        assert!(enter("b").now_or_never().is_some());
        drop(second);
        drop(first);
        let third = third.now_or_never().expect("the second has not entered");
        assert!(enter("a").now_or_never().is_none());
        drop(third);
        assert!(enter("c").now_or_never().is_some());
        assert_eq!(lanes.0.lock().expect("nobody panicked").len(), 1, "the others are gone");
    }
}
