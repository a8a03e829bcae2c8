//! The client for Rust programs.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::approvals::{ApprovalRequest, ApprovalRequests, nobody_to_ask};
use crate::backpressure::{Backpressure, Overflow};
use crate::check::Check;
use crate::connection::{Connection, RequestOptions, TimeLimit};
use crate::engine::{Approvals, Counters, Token, TurnOptions, TurnResult};
use crate::error::{Error, ErrorKind};
use crate::events::{Events, Inbox, MessageFilter, Messages, subscription};
use crate::lanes::Lanes;
use crate::message::Message;
use crate::options::ConnectOptions;
use crate::protocol::typed::Command;
use crate::router::{Follower, Router, Waiter, gone};
use crate::state::State;
use crate::tool::{Calls, Scope, ToolCalls, ToolRoutes};
use crate::turn::{Asked, Turn};

/// A client of one App Server. It is a cheap handle that can be cloned freely.
///
/// Its futures run on any executor; the sockets live on a thread of the library's own. Dropping the last handle closes
/// the connection; a program that is about to end waits for that with [`Client::close`], or nothing more is sent.
///
/// Bodies are JSON values with the protocol's own field names. Every request fails with
/// [`ErrorKind::InvalidCommand`] before anything is sent when a field is missing or of the wrong
/// type, or, in a method for one command, a slip of another (`agnt_id`), with
/// [`ErrorKind::Request`] when the server refuses, with [`ErrorKind::RequestTimeout`] after 30 s
/// (see [`ConnectOptions::request_timeout`]), with [`ErrorKind::Disconnected`] when the connection
/// is lost, and with [`ErrorKind::Closed`] after [`Client::close`].
///
/// # Cancel safety
///
/// Dropping a request's future forgets the request; a late answer reaches nobody. Dropping the
/// future of [`Client::run_turn`] stops the turn on the server.
#[derive(Clone)]
pub struct Client {
    pub(crate) connection: Arc<Connection>,
    pub(crate) router: Router,
    submissions: Lanes,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn shared_connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Builds a client without touching the network; the server need not listen yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] for an unusable option, which the message names.
    pub fn new(options: ConnectOptions) -> Result<Self, Error> {
        let router = Router::default();
        let connection = Arc::new(Connection::open(options, router.sink())?);
        router.set_connection(&connection);
        Ok(Self { connection, router, submissions: Lanes::default() })
    }

    /// Connects, choosing between one socket and split channels (PROTOCOL.md section 1.1), and
    /// resolves when the sockets are open.
    ///
    /// A connection that is lost later is opened again by itself, see [`ConnectOptions::reconnect`]. While that goes on,
    /// this waits until the connection is open, the client gives up, or [`ConnectOptions::connect_timeout`] has passed;
    /// then it fails with the last attempt's error. While somebody waits, an attempt begins at once, or a second after
    /// the last one. These do not count as [`Reconnect::max_attempts`](crate::Reconnect::max_attempts).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConnectionFailed`] says in words what failed, [`ErrorKind::Auth`] why the server refused
    /// the token. A first connection that fails is not retried, and neither is one after the client has given up.
    pub async fn connect(&self) -> Result<(), Error> {
        let (to, from) = oneshot::channel();
        let call = Call::new(self, Waiter::Done(to));
        self.router.attempt();
        self.connection.connect(call.token)?;
        call.finish(from.await)
    }

    /// Closes the client for good. Requests that wait fail with [`ErrorKind::Closed`], turns with
    /// [`ErrorKind::TurnInterrupted`] and what is known of them. Resolves within 2 s. A second close does
    /// nothing. What nobody waits for and was not sent by then is counted
    /// ([`Counters::unsent`](crate::Counters::unsent)).
    ///
    /// On the server, a turn that was dropped just before is stopped. The server cancels the others when the connection
    /// ends, unless another client follows their conversation. [`Session::close`](crate::Session::close) stops those of
    /// the session.
    pub async fn close(&self) {
        let (to, from) = oneshot::channel();
        let token = self.connection.token();
        self.router.wait(token, Waiter::Done(to));
        if self.connection.close(token) {
            // An error means that the driver has ended, which is as closed as can be.
            drop(from.await);
        }
        self.router.forget(token);
    }

    /// The state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.connection.state()
    }

    /// The server's answer to `GET /app-server-info`, where it was asked and knew it (section 3).
    #[must_use]
    pub fn server_info(&self) -> Option<Value> {
        self.connection.info().and_then(|text| serde_json::from_str(&text).ok())
    }

    /// Whether the server has split channels (section 2.1).
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.connection.is_split()
    }

    /// Counters of what has come in so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.connection.counters()
    }

    /// A subscription to every frame, command and loss of connection from now on.
    pub fn events(&self) -> Events {
        Events::new(self.subscribe(Backpressure::default(), None))
    }

    /// The same with limits of its own, and with a policy for a reader who does not keep up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] for a limit of 0.
    pub fn events_with(&self, limits: Backpressure) -> Result<Events, Error> {
        limits.check()?;
        Ok(Events::new(self.subscribe(limits, None)))
    }

    /// A subscription to the messages of the server that pass a filter, from now on. Their typed form is
    /// [`Message::typed`].
    pub fn messages(&self, filter: MessageFilter) -> Messages {
        Messages::new(self.subscribe(Backpressure::default(), Some(filter)), self.router.clone())
    }

    /// The same with limits of its own, and with a policy for a reader who does not keep up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] for a limit of 0.
    pub fn messages_with(
        &self,
        filter: MessageFilter,
        limits: Backpressure,
    ) -> Result<Messages, Error> {
        limits.check()?;
        Ok(Messages::new(self.subscribe(limits, Some(filter)), self.router.clone()))
    }

    fn subscribe(&self, limits: Backpressure, filter: Option<MessageFilter>) -> Inbox {
        // Frames cannot be merged.
        let policy = match limits.policy {
            Overflow::Merge => Overflow::DropOldest,
            policy => policy,
        };
        let (outlet, inbox) = subscription(Backpressure { policy, ..limits }, filter);
        self.router.subscribe(outlet);
        inbox
    }

    /// The calls of external tools this client registered with [`Client::runtime_start`] or
    /// [`Client::runtime_external_tools_update`], apart from those that [`Client::tool_calls_of`] and the
    /// tools of sessions take. A second reader for all takes over from the first.
    pub fn tool_calls(&self) -> ToolCalls {
        self.read_tools(ToolRoutes::add_for_all)
    }

    /// The calls of these external tools in one runtime. Of several readers for one tool the latest gets
    /// the calls; it has precedence over [`Client::tool_calls`]. Once there was a reader of this kind, a
    /// call that nobody is for is answered with an error, because nobody else can answer it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when `runtime` has no `agent_id` or no `conversation_id`.
    pub fn tool_calls_of<N: Into<String>>(
        &self,
        runtime: &Value,
        names: impl IntoIterator<Item = N>,
    ) -> Result<ToolCalls, Error> {
        let (agent, conversation) = scope(runtime)?;
        let scope = Scope { agent: Some(agent), conversation: Some(conversation) };
        let names = names.into_iter().map(Into::into).collect();
        Ok(self.tool_calls_in(scope, names))
    }

    /// The calls of some tools in one runtime, as far as it is known.
    pub(crate) fn tool_calls_in(&self, scope: Scope, names: HashSet<String>) -> ToolCalls {
        self.read_tools(|routes, token, to| routes.add(token, scope, Some(names), to))
    }

    /// The runtime of a reader is known by now.
    pub(crate) fn settle_tool_calls(&self, token: Token, runtime: &Value) {
        let id = |name: &str| runtime[name].as_str().map(str::to_owned);
        let scope = Scope { agent: id("agent_id"), conversation: id("conversation_id") };
        self.router.settle_tools(token, &scope);
    }

    fn read_tools<T>(&self, add: impl FnOnce(&mut ToolRoutes, Token, Calls) -> T) -> ToolCalls {
        let (to, calls) = mpsc::unbounded_channel();
        let token = self.connection.token();
        self.router.route_tools(|routes| add(routes, token, to));
        ToolCalls { calls, router: self.router.clone(), token }
    }

    /// The permission questions of the client's runtimes that no turn answers itself (section 13):
    /// each once, and for each runtime one after the other. Runtimes are the client's once it has
    /// started them or named them in a command. Questions that a server recovers from a stored
    /// conversation come after a `sync`. With several of these, the latest gets the questions.
    /// `runtime` limits it to one runtime, and has precedence over one for all.
    ///
    /// While there is one, a turn with [`crate::Approvals::Pause`] or [`crate::Approvals::Raise`] waits for its answer
    /// instead of ending, and one with [`crate::Approvals::AskOrDeny`], as a session's turns are, instead of denying.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when `runtime` has no `agent_id` or no `conversation_id`.
    pub fn approval_requests(&self, runtime: Option<&Value>) -> Result<ApprovalRequests, Error> {
        let scope = runtime.map(scope).transpose()?;
        let (to, requests) = mpsc::unbounded_channel();
        let token = self.connection.token();
        self.router.add_approver(token, to);
        self.connection.handle_approvals(token, scope, true);
        let (router, connection) = (self.router.clone(), Arc::downgrade(&self.connection));
        Ok(ApprovalRequests { requests, token, router, connection })
    }

    /// Sends a command that is checked against the catalog, and expects nothing.
    ///
    /// # Errors
    ///
    /// See the type's text.
    pub fn send(&self, command: &Value) -> Result<(), Error> {
        self.router.sent(&self.connection.send(&command.to_string())?);
        Ok(())
    }

    /// Sends any JSON text that is an object with a `type`, for commands this version does not know.
    ///
    /// # Errors
    ///
    /// As [`Client::send`], but fields are not checked.
    pub fn send_raw(&self, command: &str) -> Result<(), Error> {
        self.router.sent(&self.connection.send_raw(command)?);
        Ok(())
    }

    /// Sends a command with its fields and resolves with its response. A `request_id` is added.
    ///
    /// # Errors
    ///
    /// See the type's text.
    pub async fn request(&self, kind: &str, fields: Value) -> Result<Message, Error> {
        self.request_with(kind, fields, TimeLimit::Default).await
    }

    /// An id that no other request of this or another client has.
    #[must_use]
    pub fn new_id(&self, prefix: &str) -> String {
        self.connection.next_request_id(prefix)
    }

    /// Sends a typed command and resolves with its typed response. The methods of the families, such as
    /// [`Client::agents`], call this.
    ///
    /// # Errors
    ///
    /// See the type's text; [`ErrorKind::ProtocolMismatch`] with the response when that has fields of
    /// other types than this version knows.
    pub async fn call<C: Command>(&self, command: C) -> Result<C::Response, Error> {
        self.call_with(command, TimeLimit::Default).await
    }

    /// [`Client::call`] with a time limit of its own.
    ///
    /// # Errors
    ///
    /// See [`Client::call`].
    pub async fn call_with<C: Command>(
        &self,
        command: C,
        timeout: TimeLimit,
    ) -> Result<C::Response, Error> {
        let fields = Value::Object(command.fields());
        self.request_with(C::TYPE, fields, timeout).await?.read()
    }

    /// Sends a typed command that has no response.
    ///
    /// # Errors
    ///
    /// See the type's text.
    pub fn tell<C: Command>(&self, command: &C) -> Result<(), Error> {
        let command = self::command(C::TYPE, Value::Object(command.fields()))?;
        self.router.sent(&self.connection.send(&command)?);
        Ok(())
    }

    /// [`Client::request`] with a time limit of its own.
    ///
    /// # Errors
    ///
    /// See the type's text.
    pub async fn request_with(
        &self,
        kind: &str,
        fields: Value,
        timeout: TimeLimit,
    ) -> Result<Message, Error> {
        self.ask(kind, fields, RequestOptions { timeout, ..RequestOptions::default() }).await
    }

    /// A request whose fields were given to the method for its command.
    async fn documented(&self, kind: &str, fields: Value) -> Result<Message, Error> {
        let check = Check::Documented(&[]);
        self.ask(kind, fields, RequestOptions { check, ..RequestOptions::default() }).await
    }

    pub(crate) async fn ask(
        &self,
        kind: &str,
        fields: Value,
        options: RequestOptions,
    ) -> Result<Message, Error> {
        let command = command(kind, fields)?;
        let (to, from) = oneshot::channel();
        let call = Call::new(self, Waiter::Response(to));
        self.router.asked(self.connection.request(call.token, &command, options)?.as_ref());
        call.finish(from.await)
    }

    /// Sends any object with a `type` and a `request_id`, unchecked, and resolves with the first
    /// frame that carries the id and that `accept` likes.
    ///
    /// # Errors
    ///
    /// See the type's text; nothing is taken for a refusal.
    pub async fn request_raw(
        &self,
        command: &str,
        timeout: TimeLimit,
        accept: impl Fn(&Message) -> bool,
    ) -> Result<Message, Error> {
        let (to, mut from) = mpsc::unbounded_channel();
        let call = Call::new(self, Waiter::Manual(to));
        let token = call.token;
        let options = RequestOptions {
            timeout,
            manual: true,
            check: Check::Shape,
            ..RequestOptions::default()
        };
        self.router.asked(self.connection.request(token, command, options)?.as_ref());
        loop {
            match from.recv().await {
                Some(Ok(message)) if accept(&message) => {
                    self.connection.resolve(token);
                    self.router.forget(token);
                    return call.finish(Ok(Ok(message)));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return call.finish(Ok(Err(error))),
                None => return call.finish(Ok(Err(gone()))),
            }
        }
    }

    /// Starts a runtime: `runtime_start` (section 8). Pass a `mode`: the server's default runs every tool
    /// without asking.
    ///
    /// # Errors
    ///
    /// See the type's text.
    pub async fn runtime_start(&self, fields: Value) -> Result<Message, Error> {
        self.documented("runtime_start", fields).await
    }

    /// Replaces the external tools of runtimes: `runtime_external_tools_update` (section 14).
    ///
    /// # Errors
    ///
    /// See the type's text.
    pub async fn runtime_external_tools_update(&self, fields: Value) -> Result<Message, Error> {
        self.documented("runtime_external_tools_update", fields).await
    }

    /// Asks for a runtime's snapshot and subscribes to it: `sync` (section 16).
    ///
    /// # Errors
    ///
    /// See the type's text.
    pub async fn sync(&self, fields: Value) -> Result<Message, Error> {
        self.documented("sync", fields).await
    }

    /// Aborts whatever runs in a conversation: `abort_message` (section 15). Resolves with the
    /// server's answer, which usually comes before the turn's end.
    ///
    /// # Errors
    ///
    /// See the type's text.
    pub async fn abort(&self, fields: Value) -> Result<Message, Error> {
        self.documented("abort_message", fields).await
    }

    /// Asks the server what it is: `app_server_info` (section 3). Servers before 0.29.2 stay silent;
    /// see [`Client::server_info`] for what the connection found out by itself.
    ///
    /// # Errors
    ///
    /// See the type's text.
    pub async fn info(&self) -> Result<Message, Error> {
        self.request("app_server_info", json!({})).await
    }

    /// Lists conversations: `conversation_list`.
    ///
    /// # Errors
    ///
    /// See the type's text.
    pub async fn conversation_list(&self, fields: Value) -> Result<Message, Error> {
        self.documented("conversation_list", fields).await
    }

    /// Sends an input and expects nothing: `input` (section 8.1). Follow it in [`Client::events`].
    ///
    /// # Errors
    ///
    /// See the type's text.
    pub fn input(&self, fields: Value) -> Result<(), Error> {
        let command = command("input", fields)?;
        self.router.sent(&self.connection.send_checked(&command, Check::Documented(&[]))?);
        Ok(())
    }

    /// Sends an input and resolves with `input_accepted`, not with the end of the turn. The answer
    /// to an approval has no time limit, because it may come only after the whole turn (section 13).
    /// One whose future is dropped, or whose time is over, while it still waits to be sent (`settle_pause`,
    /// or the word on the one before it) is not sent.
    ///
    /// # Errors
    ///
    /// See the type's text. A split server never answers.
    pub async fn submit_input(&self, fields: Value) -> Result<Message, Error> {
        self.documented("input", fields).await
    }

    /// Sends an input and resolves when its turn is over (sections 17.2 and 17.3). `fields` has `runtime` and
    /// `payload`; messages without a `client_message_id` get one. By default there is no limit on the total
    /// time; see [`TurnOptions`].
    ///
    /// A turn that failed or was cancelled on the server is an outcome, not an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TurnInterrupted`] when the connection is lost and with it the turn's end (see
    /// [`TurnOptions::recover_timeout`] and [`TurnResult::delivery`]), or when the server shows no sign of the
    /// input ([`TurnOptions::accept_timeout`]); [`ErrorKind::TurnTimeout`] and [`ErrorKind::TurnIdleTimeout`]
    /// at a limit; [`ErrorKind::TurnAborted`] when the input is removed from the queue. Each has the partial
    /// result. Otherwise see the type's text.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the turn on the server.
    pub async fn run_turn(&self, fields: Value, options: TurnOptions) -> Result<TurnResult, Error> {
        if options.approvals() == Approvals::Ask {
            return Err(nobody_to_ask("use send_turn"));
        }
        let command = command("input", fields)?;
        let (to, from) = oneshot::channel();
        let call = Call::new(self, Waiter::Turn(to, None));
        self.router.sent(&self.connection.run_turn(call.token, &command, options, false)?);
        call.finish(from.await)
    }

    /// Sends an input like [`Client::run_turn`] and returns at once with a handle: to follow what
    /// happens, to wait for the end, to stop it, or to leave it alone.
    ///
    /// # Errors
    ///
    /// What is wrong with the input, before anything is sent; see the type's text.
    pub fn send_turn(&self, fields: Value, mut options: TurnOptions) -> Result<Turn, Error> {
        options.events = true;
        self.send_turn_of(fields, options, None)
    }

    /// One wait for a result at a time in each conversation: two would be handed in through the same
    /// registration.
    pub(crate) fn submissions(&self) -> &Lanes {
        &self.submissions
    }

    /// Stops a turn on the server; whoever waits for it gets the outcome.
    pub(crate) fn abort_turn(&self, token: Token) {
        self.connection.abort_turn(token);
    }

    /// [`Client::send_turn`], where the events need not be wanted, and somebody else than the follower may
    /// be asked for permissions.
    pub(crate) fn send_turn_of(
        &self,
        fields: Value,
        options: TurnOptions,
        asks: Option<mpsc::UnboundedSender<ApprovalRequest>>,
    ) -> Result<Turn, Error> {
        let asked = Asked::of(&fields);
        let command = command("input", fields)?;
        let (to, outcome) = oneshot::channel();
        let (events, inbox) = subscription(Backpressure::default(), None);
        let (ask, requests) = mpsc::unbounded_channel();
        let token = self.connection.token();
        let follower = Follower { events, requests: asks.unwrap_or(ask) };
        self.router.wait(token, Waiter::Turn(to, Some(follower)));
        let (connection, router) = (Arc::clone(&self.connection), self.router.clone());
        let (ended, told, own) = (None, false, None);
        let turn =
            Turn { asked, connection, router, token, inbox, requests, outcome, ended, told, own };
        self.router.sent(&self.connection.run_turn(token, &command, options, false)?);
        Ok(turn)
    }
}

/// One call that waits. Dropped before its end, it tells the engine that the caller has gone: the answer may be there
/// already, and nobody takes it.
struct Call<'a> {
    client: &'a Client,
    token: Token,
    finished: bool,
}

impl<'a> Call<'a> {
    fn new(client: &'a Client, waiter: Waiter) -> Self {
        let token = client.connection.token();
        client.router.wait(token, waiter);
        Self { client, token, finished: false }
    }

    fn finish<T>(
        mut self,
        outcome: Result<Result<T, Error>, oneshot::error::RecvError>,
    ) -> Result<T, Error> {
        self.finished = true;
        outcome.unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.client.router.forget(self.token);
            self.client.connection.cancel(self.token);
        }
    }
}

/// Agent and conversation of a runtime.
fn scope(runtime: &Value) -> Result<(String, String), Error> {
    let field = |name: &str| {
        runtime[name].as_str().map(str::to_owned).ok_or_else(|| {
            let message =
                format!("runtime: field `{name}`: expected string, got {}", runtime[name]);
            Error::new(ErrorKind::InvalidOption, message)
        })
    };
    Ok((field("agent_id")?, field("conversation_id")?))
}

/// A command's text from its type and fields.
pub(crate) fn command(kind: &str, mut fields: Value) -> Result<String, Error> {
    let Some(object) = fields.as_object_mut() else {
        let message = format!("`{kind}`: expected a JSON object of fields, got {fields}");
        return Err(Error::new(ErrorKind::InvalidCommand, message));
    };
    if let Some(other) = object.insert("type".to_owned(), kind.into()).filter(|it| it != kind) {
        let message = format!("`{kind}`: field `type`: expected {kind:?} or nothing, got {other}");
        return Err(Error::new(ErrorKind::InvalidCommand, message));
    }
    Ok(fields.to_string())
}
