//! One wait for the end of a server of your own.

use letta_app_client::{ExitCall, ServerWatch};
use napi_derive::napi;

use crate::doorbell::Doorbell;
use crate::server::Server;

/// How a server has ended; see `letta_app_client::ServerExit`.
#[napi(object)]
pub struct NativeServerExit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

/// The wait; it ends with this object.
#[napi]
pub struct ServerEnd {
    watch: ServerWatch,
    _call: ExitCall,
}

#[napi]
impl ServerEnd {
    /// Its bell rings when the server has ended, once.
    #[napi(constructor)]
    pub fn new(server: &Server, doorbell: &Doorbell, bell: u32) -> Self {
        let (watch, bell) = (server.watch(), doorbell.bell(bell));
        let call = watch.on_exit(move || bell.ring());
        Self { watch, _call: call }
    }

    /// How it has ended; nothing while it runs.
    #[napi]
    pub fn exit(&self) -> Option<NativeServerExit> {
        let exit = self.watch.try_exited()?;
        Some(NativeServerExit { code: exit.code, signal: exit.signal })
    }
}
