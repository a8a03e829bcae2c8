//! The locks of what is also tested with every order of its threads: there, others stand in for them.

pub(crate) use std::sync::{Mutex, MutexGuard};
