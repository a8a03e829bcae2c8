//! Commands that nobody waits for and that had not left when their connection was lost: nobody could be told, so
//! they leave on the next one. Where there will be none they are counted.

use super::Engine;
use super::held::Held;
use super::memory::Place;

/// See the module's text. In the order of the runtimes, and within one in the order given.
pub(crate) type Carried = Vec<(Place, Held)>;

impl Engine {
    /// The connection is gone. Keeps what leaves on the next one, if there will be one.
    pub(super) fn carry_over(&mut self) {
        for runtime in self.runtimes.all() {
            let place = (runtime.agent_id.clone(), runtime.conversation_id.clone());
            let unawaited = runtime.held.take_unawaited();
            self.carried.extend(unawaited.map(|held| (place.clone(), held)));
        }
        if !self.link.will_reconnect() {
            self.drop_carried();
        }
    }

    /// There will be no connection.
    pub(super) fn drop_carried(&mut self) {
        self.ctx.unsent += std::mem::take(&mut self.carried).len() as u64;
    }

    /// There is a connection again, and it is asked for the runtimes there were.
    pub(super) fn hand_on_carried(&mut self) {
        for ((agent, conversation), Held { text, settles, .. }) in std::mem::take(&mut self.carried)
        {
            self.join(&agent, &conversation);
            let runtime = self.runtimes.get(&agent, &conversation);
            runtime.submit(text, settles, None, &mut self.ctx);
        }
    }
}
