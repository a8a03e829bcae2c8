//! What type checkers are told of methods that take any command or message: `_overloads.py`.

use std::fmt::Write;

use super::given::{fields_name, is_answer};
use super::head;
use crate::catalog::RequestId;
use crate::model::{Command, Model};

/// The overloads, by the literal type of the command or message.
pub fn overloads(model: &Model) -> String {
    let mut text = head(
        "What type checkers are told of the methods that take any command or message.",
        "from collections.abc import Callable, Iterable, Mapping\n\
         from typing import TYPE_CHECKING, Any, Literal, overload\n\n\
         if TYPE_CHECKING:\n    \
         from typing_extensions import Unpack\n\n    \
         from ._backlog import MAX_BYTES, MAX_ITEMS, Overflow\n    from ._limits import Timeout\n    \
         from ._subscription import Subscription\n    \
         from .messages import Channel, Message\n    \
         from .protocol import *",
    );
    text += "__all__ = [\"Overloads\"]\n\n\nclass Overloads:\n    \
        \"\"\"``request``, ``on_message`` and ``messages``, by literal type.\"\"\"\n\n    \
        if TYPE_CHECKING:\n\n";
    let answered = model.commands.iter().filter(|command| command.response.is_some());
    for command in answered.clone() {
        text += &by_type(command);
    }
    for command in answered {
        text += &whole(command);
    }
    text += "        @overload\n        async def request(\n            self,\n            \
        type_or_command: Mapping[str, Any],\n            /,\n            *,\n            \
        timeout: Timeout = \"default\",\n            \
        predicate: Callable[[Message], bool] | None = None,\n            \
        **fields: Any,\n        ) -> Message: ...\n\n        \
        async def request(self, type_or_command: Any, /, **fields: Any) -> Any:\n            \
        \"\"\"See ``Commands``.\"\"\"\n\n";
    for message in &model.received {
        let (tag, name) = (&message.tag, &message.name);
        write!(
            text,
            "        @overload\n        def on_message(\n            self,\n            \
             handler: Callable[[{name}, Channel], object],\n            *,\n            \
             types: Literal[{tag:?}] | tuple[Literal[{tag:?}]],\n            \
             runtime: Mapping[str, Any] | None = None,\n        ) -> Callable[[], None]: ...\n\n"
        )
        .ok();
    }
    text += "        @overload\n        def on_message(\n            self,\n            \
        handler: Callable[[ServerMessage, Channel], object],\n            *,\n            \
        types: str | Iterable[str] | None = None,\n            \
        runtime: Mapping[str, Any] | None = None,\n        ) -> Callable[[], None]: ...\n\n        \
        def on_message(\n            self,\n            \
        handler: Callable[[Any, Channel], object],\n            *,\n            \
        types: str | Iterable[str] | None = None,\n            \
        runtime: Mapping[str, Any] | None = None,\n        ) -> Any:\n            \
        \"\"\"See ``AppServerClient``.\"\"\"\n\n";
    for message in &model.received {
        let (tag, name) = (&message.tag, &message.name);
        write!(
            text,
            "        @overload\n        def messages(\n            self,\n            \
             type: Literal[{tag:?}],\n            /,\n            *,\n            \
             runtime: Mapping[str, Any] | None = None,\n            limit: int = MAX_ITEMS,\n            \
             max_bytes: int = MAX_BYTES,\n            \
             overflow: Overflow = \"drop_oldest\",\n        \
             ) -> Subscription[{name}]: ...\n\n"
        )
        .ok();
    }
    text += "        @overload\n        def messages(\n            self,\n            *types: str,\n            \
        runtime: Mapping[str, Any] | None = None,\n            limit: int = MAX_ITEMS,\n            \
             max_bytes: int = MAX_BYTES,\n            \
             overflow: Overflow = \"drop_oldest\",\n        \
        ) -> Subscription[Message]: ...\n\n        \
        def messages(\n            self,\n            *types: str,\n            \
        runtime: Mapping[str, Any] | None = None,\n            limit: int = MAX_ITEMS,\n            \
             max_bytes: int = MAX_BYTES,\n            \
             overflow: Overflow = \"drop_oldest\",\n        \
        ) -> Any:\n            \"\"\"See ``AppServerClient``.\"\"\"\n";
    text
}

fn response(command: &Command) -> &str {
    command.response.as_ref().map_or("Message", |(_, name)| name)
}

fn by_type(command: &Command) -> String {
    let tag = &command.message.tag;
    let id = match command.request_id {
        _ if is_answer(command) => "            request_id: str,\n",
        RequestId::None => "",
        RequestId::Optional | RequestId::Required => "            request_id: str = ...,\n",
    };
    format!(
        "        @overload\n        async def request(\n            self,\n            \
         type_or_command: Literal[{tag:?}],\n            /,\n            *,\n{id}            \
         timeout: Timeout = \"default\",\n            \
         predicate: Callable[[Message], bool] | None = None,\n            \
         **fields: Unpack[{}],\n        ) -> {}: ...\n\n",
        fields_name(command),
        response(command)
    )
}

fn whole(command: &Command) -> String {
    format!(
        "        @overload\n        async def request(\n            self,\n            \
         type_or_command: {},\n            /,\n            *,\n            \
         timeout: Timeout = \"default\",\n            \
         predicate: Callable[[Message], bool] | None = None,\n        ) -> {}: ...\n\n",
        command.message.name,
        response(command)
    )
}
