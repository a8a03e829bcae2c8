//! The commands of clients.

use serde_json::{Value, json};

use super::conversation::Input;
use super::frames::{AGENT, scope};
use super::{ConnId, Server};
use crate::sim::ledger::End;
use crate::sim::plan::tag_of;

impl Server {
    /// A frame came from a connection. One that is malformed or unknown is answered with silence.
    pub fn receive(&mut self, now: std::time::Duration, conn: ConnId, text: &str) {
        self.now = now;
        let Ok(frame) = serde_json::from_str::<Value>(text) else { return };
        if !self.conns.contains_key(&conn) {
            return;
        }
        let place = frame["runtime"]["conversation_id"].as_str().map(str::to_owned);
        if let Some(place) = &place {
            self.subscribe(conn, place);
        }
        let place = place.unwrap_or_default();
        match frame["type"].as_str().unwrap_or_default() {
            "runtime_start" => self.runtime_start(conn, &frame),
            "runtime_external_tools_update" if self.generation.correlation => {
                self.tools_update(conn, &frame);
            }
            "sync" => self.sync(conn, &place, &frame),
            "input" => match frame["payload"]["kind"].as_str() {
                Some("create_message") => self.create_message(conn, &place, &frame),
                Some("approval_response") => self.approval_response(conn, &place, &frame),
                _ => {}
            },
            "abort_message" => self.abort_message(conn, &place, &frame),
            "remove_queue_item" => self.remove_queue_item(conn, &place, &frame),
            "external_tool_call_response" => self.tool_answered(conn, &frame),
            "conversation_messages_list" => self.messages_list(conn, &frame),
            "list_models" => {
                self.answer(conn, &frame, "list_models", json!({ "entries": [] }));
            }
            _ => {}
        }
    }

    fn subscribe(&mut self, conn: ConnId, place: &str) {
        self.place(place);
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.subscribed.insert(place.to_owned());
        }
    }

    fn answer(&mut self, conn: ConnId, asked: &Value, kind: &str, mut fields: Value) {
        let Some(id) = asked["request_id"].as_str() else { return };
        fields["type"] = format!("{kind}_response").into();
        fields["request_id"] = id.into();
        if fields["success"].is_null() {
            fields["success"] = true.into();
        }
        self.reply(conn, &fields);
    }

    fn runtime_start(&mut self, conn: ConnId, frame: &Value) {
        let Some(place) = frame["conversation_id"].as_str().map(str::to_owned) else { return };
        self.subscribe(conn, &place);
        let groups = frame["external_tools"].as_array().map_or(0, Vec::len);
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.tools.insert(place.clone(), groups);
        }
        let fields = json!({
            "runtime": scope(&place), "agent": { "id": AGENT },
            "created": { "agent": false, "conversation": false },
        });
        self.answer(conn, frame, "runtime_start", fields);
        self.snapshot(conn, &place);
    }

    /// It registers and does not subscribe (section 7).
    fn tools_update(&mut self, conn: ConnId, frame: &Value) {
        for update in frame["updates"].as_array().into_iter().flatten() {
            let groups = update["external_tools"].as_array().map_or(0, Vec::len);
            for runtime in update["runtimes"].as_array().into_iter().flatten() {
                let place = runtime["conversation_id"].as_str().unwrap_or_default().to_owned();
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.tools.insert(place, groups);
                }
            }
        }
        self.answer(conn, frame, "runtime_external_tools_update", json!({}));
    }

    fn sync(&mut self, conn: ConnId, place: &str, frame: &Value) {
        if !self.generation.split {
            self.tell_question(place, Some(conn));
        }
        self.snapshot(conn, place);
        self.answer(conn, frame, "sync", json!({ "runtime": scope(place) }));
    }

    fn messages_list(&mut self, conn: ConnId, frame: &Value) {
        let Some(place) = frame["conversation_id"].as_str() else { return };
        let newest = self.place(place).messages.iter().rev().cloned();
        let mut messages: Vec<_> = newest.collect();
        let query = &frame["query"];
        if let Some(before) = query["before"].as_str() {
            let at = messages.iter().position(|message| message["id"] == before);
            messages.drain(..at.map_or(messages.len(), |at| at + 1));
        }
        let limit = query["limit"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(50);
        let more = messages.len() > limit;
        messages.truncate(limit);
        let last = messages.last().map(|message| message["id"].clone());
        let mut fields = json!({ "messages": messages });
        if !self.generation.split {
            fields["has_more"] = more.into();
            fields["next_before"] = last.unwrap_or_default();
        }
        self.answer(conn, frame, "conversation_messages_list", fields);
    }

    fn create_message(&mut self, conn: ConnId, place: &str, frame: &Value) {
        let message = &frame["payload"]["messages"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        // A string, or parts of which one has the prompt.
        let content = message["content"].as_str().or(message["content"][0]["text"].as_str());
        let content = content.unwrap_or_default().to_owned();
        *self.ledger.received.entry(tag_of(&content).to_owned()).or_default() += 1;
        if self.expects_tools && !self.has_tools(conn, place) {
            self.ledger.without_tools.push(tag_of(&content).to_owned());
        }
        let client_id = text(&message["client_message_id"]);
        let single = !self.generation.split;
        let known = self.place(place).known(&client_id).filter(|_| single);
        let disposition = match known {
            Some(known) => known,
            None if self.place(place).busy() => "queued",
            None => "started",
        };
        if self.generation.acks
            && let Some(id) = frame["request_id"].as_str()
        {
            self.reply(
                conn,
                &json!({
                    "type": "input_accepted", "request_id": id, "runtime": scope(place),
                    "accepted": true, "disposition": disposition,
                }),
            );
        }
        if known.is_some() {
            return;
        }
        let conversation = self.place(place);
        conversation.items += 1;
        let item = format!("q-{}", conversation.items);
        let input = Input { client_id, text: content, conn, item };
        if disposition == "started" {
            self.begin(place, vec![input], false);
            return;
        }
        let waits = conversation.turn.is_some();
        conversation.queue.push_back(input);
        self.tell_queue(place, &[]);
        if !waits {
            self.start_queued(place);
        }
    }

    fn approval_response(&mut self, conn: ConnId, place: &str, frame: &Value) {
        let open = self.open_question(place);
        let asked = open.filter(|open| open["request_id"] == frame["payload"]["request_id"]);
        let id = frame["request_id"].as_str().map(str::to_owned);
        let taken = asked.is_some() && !self.is_orphan(place);
        if taken {
            self.tell_status(place, "WAITING_ON_APPROVAL");
            let allowed = frame["payload"]["decision"]["behavior"] == "allow";
            self.decided(place, allowed);
        }
        if let Some(id) = id.filter(|_| self.generation.acks) {
            let mut answer = json!({
                "type": "input_accepted", "request_id": id, "runtime": scope(place),
                "accepted": taken,
            });
            if !taken {
                answer["error"] = "Approval request is no longer pending".into();
            }
            self.reply(conn, &answer);
        }
    }

    fn abort_message(&mut self, conn: ConnId, place: &str, frame: &Value) {
        let aborts = self.place(place).turn.is_some() && !self.is_orphan(place);
        if aborts {
            self.interrupt(place);
        }
        let fields = json!({ "runtime": scope(place), "aborted": aborts });
        self.answer(conn, frame, "abort_message", fields);
        if aborts {
            self.finish(place, End::Aborted, "cancelled", None);
        }
    }

    fn remove_queue_item(&mut self, conn: ConnId, place: &str, frame: &Value) {
        let item = frame["item_id"].as_str().unwrap_or_default().to_owned();
        let found = self.place(place).queue.iter().any(|input| input.item == item);
        let fields = json!({ "success": found, "item_id": item });
        self.answer(conn, frame, "remove_queue_item", fields);
        if found {
            self.drop_queued(place, |input| input.item == item);
        } else {
            self.tell_queue(place, &[]);
        }
    }
}
