// What of the daemon's news has a list of its own: callbacks, the team, queues, flows, what was asked of business systems.
import { Callbacks } from "./callbacks.js";
import { Flows } from "./flows.js";
import { draw, link } from "./here.js";
import { Queues } from "./queues.js";
import { Team } from "./team.js";
import { Tickets } from "./tickets.js";

export const backs = new Callbacks(link, draw);
export const crew = new Team(link, draw);
export const flows = new Flows(link, draw);
export const queues = new Queues(link, draw);
export const tickets = new Tickets(draw);
