//! What the runtimes of a scripted server tell: statuses, queues and pending approvals (protocol reference, sections
//! 10, 12 and 13).

use serde_json::{Value, json};

use super::frames::{Draft, status};
use super::modes;
use super::world::{Input, Scope, State, Step};

impl State {
    pub(super) fn loop_status(&mut self, scope: &Scope) -> Draft {
        let runtime = self.runtime(scope);
        let active: Vec<&String> = runtime.active_run.iter().collect();
        let mut body = json!({
            "status": status(runtime.step),
            "active_run_ids": active,
            "executing_tool_call_ids": runtime.executing,
        });
        if !runtime.correlation.is_empty() {
            body["client_message_ids_by_run_id"] =
                runtime.correlation.iter().map(|(run, ids)| (run.clone(), json!(ids))).collect();
        }
        Draft::new("update_loop_status", &json!({ "loop_status": body }))
    }

    pub(super) fn device_status(&mut self, scope: &Scope) -> Draft {
        let home = self.home();
        let runtime = self.runtime(scope);
        let pending: Vec<Value> = runtime
            .approval
            .iter()
            .map(|ask| json!({ "request_id": ask.request_id, "request": ask.request }))
            .collect();
        let body = json!({
            "current_connection_id": "app-server",
            "connection_name": "mock",
            "is_online": true,
            "is_processing": !matches!(runtime.step, Step::Idle | Step::Command),
            "current_permission_mode": runtime.mode.as_deref().unwrap_or(modes::UNSET),
            "current_working_directory": runtime.cwd.as_ref().unwrap_or(&home),
            "git_context": null,
            "letta_code_version": null,
            "current_toolset": null,
            "current_toolset_preference": "auto",
            "current_loaded_tools": [],
            "current_available_skills": [],
            "background_processes": [],
            "pending_control_requests": pending,
            "experiments": [],
            "memory_directory": null,
            "should_doctor": false,
            "supported_commands": [],
            "reflection_settings": null,
        });
        Draft::new("update_device_status", &json!({ "device_status": body }))
    }

    /// The queue as it is, with the inputs that have just left it and why.
    pub(super) fn queue(&mut self, scope: &Scope, removed: &[Input], why: &str) -> Draft {
        let item = |input: &Input| {
            let (id, at) = input.queued.clone().unwrap_or_default();
            json!({
                "id": id, "client_message_id": input.client_message_ids.first(), "kind": "message",
                "source": "user", "content": input.content, "enqueued_at": at,
            })
        };
        let queue: Vec<Value> = self.runtime(scope).queue.iter().map(item).collect();
        let mut body = json!({ "queue": queue });
        if self.has_turn_events() {
            let ids = removed.iter().flat_map(|input| &input.client_message_ids);
            let transition = |id| json!({ "client_message_id": id, "disposition": why });
            body["removed"] = ids.map(transition).collect();
        }
        Draft::new("update_queue", &body)
    }

    pub(super) fn control_request(&mut self, scope: &Scope) -> Option<Draft> {
        let ask = self.runtime(scope).approval.as_ref()?;
        let body = json!({
            "request_id": ask.request_id, "request": ask.request,
            "agent_id": scope.agent_id, "conversation_id": scope.conversation_id,
        });
        Some(Draft::new("control_request", &body))
    }

    /// Changes the step of a runtime and tells everyone.
    pub(super) fn enter(&mut self, scope: &Scope, step: Step) {
        self.runtime(scope).step = step;
        let draft = self.loop_status(scope);
        self.broadcast(scope, &draft);
    }

    pub(super) fn tell_device(&mut self, scope: &Scope) {
        let draft = self.device_status(scope);
        self.broadcast(scope, &draft);
    }

    pub(super) fn tell_queue(&mut self, scope: &Scope, removed: &[Input], why: &str) {
        let draft = self.queue(scope, removed, why);
        self.broadcast(scope, &draft);
    }

    /// What `runtime_start` and `sync` send to the client that asked.
    pub(super) fn send_snapshot(&mut self, client: u64, scope: &Scope) {
        let subagents = Draft::new("update_subagent_state", &json!({ "subagents": [] }));
        let drafts = [
            self.device_status(scope),
            self.loop_status(scope),
            self.queue(scope, &[], ""),
            subagents,
        ];
        for draft in &drafts {
            self.send_event(client, scope, draft);
        }
    }
}
