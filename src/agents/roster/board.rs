//! What a board shows of this moment and of today: made from what is true then, gathered for a moment, and told again while somebody looks, so that its age can be seen.

use std::collections::BTreeMap;

use crate::{
    calls::Directory,
    words::{Mono, Now, TenantId},
};

use super::{
    super::{
        CoalesceKey, ScreenId,
        protocol::{AgentCondition, Board, BoardAgents, BoardChanged, BoardQueue, BoardWatch},
        wire,
    },
    Ask, Due, Key, Roster, deliver,
    requests::{done, failed},
    verbs::{NOT_YOUR_TEAM, is_of},
};

/// Who looks at a board, and when it is told next.
#[derive(Default)]
pub(super) struct Boards {
    screens: BTreeMap<ScreenId, Key>,
    next: Option<Mono>,
}

impl Boards {
    pub fn leave(&mut self, screen: ScreenId) {
        self.screens.remove(&screen);
    }
}

/// News wait so long for more.
const GATHER_MS: u64 = 250;
/// Without news it is told again after this.
const AGAIN_MS: u64 = 2_000;

impl Roster {
    pub(super) fn watch_board(
        &mut self,
        now: Now,
        (key, screen, id): (&Key, ScreenId, &str),
        of: &BoardWatch,
        directory: &Directory,
    ) {
        if !self.is_supervisor(screen, directory) {
            let (code, message) = NOT_YOUR_TEAM;
            return self.out.push_back(deliver(screen, None, failed(now, id, code, message)));
        }
        match of.watch {
            true => drop(self.boards.screens.insert(screen, key.clone())),
            false => self.boards.leave(screen),
        }
        self.out.push_back(deliver(screen, None, done(now, id, None)));
        self.board_at(now.mono);
    }

    /// Something that boards show may be otherwise.
    pub fn stir(&mut self, now: Now) {
        self.board_at(now.mono.plus_ms(GATHER_MS));
    }

    fn board_at(&mut self, at: Mono) {
        if !self.boards.screens.is_empty() && self.boards.next.is_none_or(|next| at < next) {
            self.boards.next = Some(at);
            self.later(at, Due::Board);
        }
    }

    /// Asks for what is true now, if that was planned for now.
    pub(super) fn board_due(&mut self, now: Now) {
        if self.boards.next.is_none_or(|next| next > now.mono) {
            return;
        }
        self.boards.next = None;
        let mut tenants: Vec<TenantId> = self.boards.screens.values().map(|(tenant, _)| tenant.clone()).collect();
        tenants.sort();
        tenants.dedup();
        if !tenants.is_empty() {
            self.ask(Ask::Board(tenants));
        }
    }

    /// What is true of each tenant's calls; agents are put in here.
    pub fn board(&mut self, now: Now, mut boards: BTreeMap<TenantId, Board>, directory: &Directory) {
        for (tenant, board) in &mut boards {
            self.put_members(tenant, board);
        }
        let looking: Vec<(ScreenId, Key)> =
            self.boards.screens.iter().map(|(screen, key)| (*screen, key.clone())).collect();
        for (screen, key) in looking {
            let Some(board) = boards.get_mut(&key.0).filter(|_| self.is_supervisor(screen, directory)) else {
                continue;
            };
            board.agents = self.by_state(&key, directory);
            let frame = wire::write(0, now.wall, &BoardChanged(board));
            self.out.push_back(deliver(screen, Some(CoalesceKey::Board), frame));
        }
        self.board_at(now.mono.plus_ms(AGAIN_MS));
    }

    /// How many are in each queue, and ready; of queues whose switch tells it.
    pub fn put_members(&self, tenant: &TenantId, board: &mut Board) {
        let mut queues: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        for (key, duty) in self.duties.iter().filter(|(key, _)| key.0 == *tenant) {
            for (queue, takes) in duty.in_queues() {
                let (members, ready) = queues.entry(queue).or_default();
                *members += 1;
                *ready += u32::from(takes && self.condition(key) == AgentCondition::Ready);
            }
        }
        for (queue, (members, ready)) in queues {
            let at = match board.queues.iter().position(|known| known.queue == queue) {
                Some(at) => at,
                None => {
                    board.queues.push(BoardQueue { queue: queue.to_owned(), ..BoardQueue::default() });
                    board.queues.len() - 1
                }
            };
            if let Some(known) = board.queues.get_mut(at) {
                (known.members, known.ready) = (Some(members), Some(ready));
            }
        }
        board.queues.sort_by(|a, b| a.queue.cmp(&b.queue));
    }

    fn by_state(&self, key: &Key, directory: &Directory) -> BoardAgents {
        let mut agents = BoardAgents::default();
        for agent in directory.agents().filter(|agent| is_of(directory, key, &agent.id)) {
            let of = match self.there(&(agent.tenant.clone(), agent.id.clone())) {
                Some(AgentCondition::Ready) => &mut agents.ready,
                Some(AgentCondition::Busy) => &mut agents.busy,
                Some(AgentCondition::WorkingAfterCall) => &mut agents.after_call,
                Some(AgentCondition::NotReady) => &mut agents.not_ready,
                Some(AgentCondition::LoggedOff) | None => &mut agents.away,
            };
            *of += 1;
        }
        agents
    }
}
