// Frames as the daemon says them, with people and numbers that are nobody's.
export const CALL = "01JD8Z6Q5M0000000000000001", SECOND = "01JD8Z6Q5M0000000000000002";
export const seconds = (s) => new Date(Date.now() + s * 1000).toISOString();

export const agent = (state, more = {}) => ({ agent: "1001", state, today: { calls: 23, handling_ms: 23 * 252_000, csat: { good: 11, of: 12 }, until: seconds(3600) }, active: true, screens: 1, ...more });
export const links = (up = true, more = []) => [
  { kind: "switch", id: "pbx1", up, since: seconds(-3) }, { kind: "system", id: "erp", up: true, since: seconds(-900) },
  { kind: "system", id: "orders", up: true, since: seconds(-900) }, { kind: "system", id: "desk", up: true, since: seconds(-900) }, ...more,
];
export const number = (display, kind = "mobile") => ({ display, class: kind, masked: false, handle: `h ${display}` });

/** The words of a language that a company's own files bring: titles, names, orders. */
const words = {
  "zh-CN": {
    name: "张伟", drill: "15:00 消防演习，听到广播后示忙。", notice: "今天华东配送晚到：主动致歉并提出回拨。", first: "售前", line: "小蓝家电 · 售后热线", brand: "小蓝家电", queue: "售后二线", keyed: "2 报修", finance: "账务", orders: "订单", tickets: "工单", loyalty: "会员",
    late: "配送延误", shipped: "已发货", done: "已完成", washer: "滚筒洗衣机 10 kg", filter: "净水器滤芯 × 2", fryer: "空气炸锅 5 L", leaks: "洗衣机漏水，已约上门", wrong: "滤芯发错型号",
    open: "处理中", tier: "金卡", benefit: "免上门费 1 次", remark: "请称张老师", colleague: "陈静", other: "王芳", firm: "蓝海贸易有限公司", main: "主号码相符", second: "备用号码相符", contact: "联系人号码相符",
    outcome: [["报修", "改约上门"], ["报修", "新报修"], ["订单", "查物流"], ["订单", "催发货"], ["账务", "退款"]],
  },
  en: {
    name: "Zhang Wei", drill: "Fire drill at 15:00: set Not ready when you hear it.", notice: "Deliveries to the east are late today: say so, and offer a call back.", first: "Pre-sales", line: "Xiaolan After-sales", brand: "Xiaolan", queue: "Support L2", keyed: "2 repair", finance: "Finance", orders: "Orders", tickets: "Tickets", loyalty: "Loyalty",
    late: "Late", shipped: "Shipped", done: "Done", washer: "Washer 10 kg", filter: "Filter x 2", fryer: "Air fryer 5 L", leaks: "Washer leaks, visit booked", wrong: "Wrong filter sent",
    open: "Open", tier: "Gold", benefit: "One free visit", remark: "Retired teacher", colleague: "Chen Jing", other: "Wang Fang", firm: "Lanhai Trading", main: "main number", second: "second number", contact: "contact's number",
    outcome: [["Repair", "Rebooked"], ["Repair", "New"], ["Order", "Where is it"], ["Order", "Hurry"], ["Billing", "Refund"]],
  },
};
export const said = (lang) => words[lang];

export const block = (system, kind, title, state, more = {}) => ({ system, kind, title, state, ...(more.body ? { asked_at: seconds(-2) } : {}), ...more });

export function pending(w) {
  return { answer: { state: "pending" }, candidates: [], blocks: [block("erp", "finance", w.finance, "pending"), block("orders", "orders", w.orders, "pending"), block("desk", "tickets.open", w.tickets, "pending"), block("loyalty", "loyalty", w.loyalty, "pending")] };
}
export const person = (id, name, reason, more = {}) => ({ id: `erp:customer:${id}`, link: { system: "erp", type: "customer", id }, name, reason, ...more });
export function filled(w, { tickets = true } = {}) {
  return {
    answer: { state: "found" }, found_by: "number",
    candidates: [person("C1", w.name, w.main, { facts: { id: "C1", name: w.name, tier: w.tier, level: "A" }, url: "https://erp.example.com/c/C1" })],
    blocks: [
      block("erp", "finance", w.finance, "fresh", { body: { balance: "1286.00", credit: "8000.00", currency: "CNY" } }),
      block("orders", "orders", w.orders, "stale", { asked_at: seconds(-370), body: [
        { id: "SO1", state: w.late, what: w.washer, amount: "3299.00", currency: "CNY" }, { id: "SO2", state: w.shipped, what: w.filter, amount: "258.00", currency: "CNY" }, { id: "SO3", state: w.done, what: w.fryer, amount: "399.00", currency: "CNY" }, { id: "SO4", state: w.done, what: w.filter, amount: "129.00", currency: "CNY" }] }),
      tickets
        ? block("desk", "tickets.open", w.tickets, "fresh", { body: [{ id: "20871", status: w.open, subject: w.leaks, at: seconds(-86400 * 2), url: "https://desk.example.com/#20871" }] })
        : block("desk", "tickets.open", w.tickets, "unavailable", { reason: "desk did not answer within 3000 ms", trouble: { kind: "late", seconds: 3 } }),
      block("loyalty", "loyalty", w.loyalty, "fresh", { body: { tier: w.tier, points: 12840, benefit: w.benefit, remark: w.remark } }),
    ],
  };
}
export function pop(w, card, more = {}) {
  const call = more.call ?? CALL;
  return {
    pop: `${call}-1`, call, role: "inbound", device: "PJSIP/1001", direction: "inbound", origin: "phone", title: w.line, queue: { id: "support", label: w.queue, waiting: 3 }, called_before: { days: 7, calls: 1, last_at: seconds(-90_000) }, had_by: [],
    number: number("13800138000"), waited_since: seconds(-42), attributes: { "ivr.choice": w.keyed, "ivr.account": "88001234" }, card, actions: ["notes.set", "callback.ask", "call.answer", "call.hangup"], ...more,
  };
}
export function changed(leg, state, more = {}) {
  const call = more.call ?? CALL;
  return { pop: `${call}-1`, call, state, ...(leg ? { leg } : {}), role: "inbound", since: seconds(0), started_at: seconds(-60), agents: [], actions: [], ...more };
}
export const VERBS = ["call.hangup", "call.hold", "call.mute", "call.transfer", "call.consult"];
