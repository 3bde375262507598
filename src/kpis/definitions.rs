//! What every figure means, in one place; outputs, pages and the documentation print these words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{figures::Id, settings::Settings};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Definition {
    pub figure: Id,
    pub unit: Unit,
    pub title: Words,
    pub text: Words,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Words {
    pub en: String,
    pub zh: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    Count,
    /// 0 to 1.
    Share,
    Milliseconds,
    /// -100 to 100.
    Points,
    PerCall,
    PerThousand,
}

impl Id {
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Calls | Self::Offered => Unit::Count,
            Self::ServiceLevel
            | Self::Abandonment
            | Self::Occupancy
            | Self::FcrContact
            | Self::FcrTicket
            | Self::FcrAnswer
            | Self::Surveys
            | Self::Csat => Unit::Share,
            Self::Wait | Self::Aht | Self::Talk | Self::Hold | Self::Wrap => Unit::Milliseconds,
            Self::Nps => Unit::Points,
            Self::ManualOperations => Unit::PerCall,
            Self::ConsistencyErrors => Unit::PerThousand,
        }
    }

    /// English, Chinese.
    #[must_use]
    pub const fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Calls => ("Calls", "通话"),
            Self::Offered => ("Offered calls", "呼入需接听"),
            Self::ServiceLevel => ("Service level", "服务水平"),
            Self::Abandonment => ("Abandonment", "放弃率"),
            Self::Wait => ("Wait", "等待时长"),
            Self::Aht => ("AHT, handling time", "AHT，平均处理时长"),
            Self::Talk => ("Talk", "通话时长"),
            Self::Hold => ("Hold", "保持时长"),
            Self::Wrap => ("Wrap-up", "整理时长"),
            Self::Occupancy => ("Occupancy", "占用率"),
            Self::FcrContact => ("FCR by no further contact", "首次解决率：未再来电"),
            Self::FcrTicket => ("FCR by no further ticket", "首次解决率：未再有工单"),
            Self::FcrAnswer => ("FCR by answer", "首次解决率：按回答"),
            Self::Surveys => ("Surveys answered", "评价参与率"),
            Self::Csat => ("CSAT", "满意度 CSAT"),
            Self::Nps => ("NPS", "净推荐值 NPS"),
            Self::ManualOperations => ("Manual operations per call", "每通人工跨系统操作"),
            Self::ConsistencyErrors => ("Consistency errors per 1,000 records", "每千条记录不一致"),
        }
    }

    fn english(self, settings: &Settings) -> String {
        let Settings { service_level_s, short_abandon_s, fcr_days, csat, nps, resolved, .. } = settings;
        let (good, best) = (csat.good, csat.best);
        match self {
            Self::Calls => "All calls that ended in the time, by direction and outcome. A call counts once, whatever was amended, on the day on which it ended. Of a call that certainly was told by two switches, the one behind the other counts.".to_owned(),
            Self::Offered => "Inbound calls for which somebody was to answer: they waited in a queue or rang a phone, and how that ended is known. Not those that an IVR served or that met closed hours.".to_owned(),
            Self::ServiceLevel => format!("Offered calls that a person answered within {service_level_s} s of the first queue (else the first ring), of all offered calls without short abandons (up to {short_abandon_s} s, which count neither for nor against). Queues may have a time of their own (kpis.service_levels). A call counts for the queue that answered it, else for its last."),
            Self::Abandonment => format!("Offered calls that the customer left before an answer, of all offered calls without short abandons. Who leaves within {short_abandon_s} s is a short abandon and stands apart."),
            Self::Wait => "From the first queue (else the first ring) to a person's answer, else to the end; of offered calls without short abandons.".to_owned(),
            Self::Aht => "Talk + hold + wrap-up of each answered call, in and out, inside the house too. The value is the mean. Where no wrap-up was done it is 0; of how many calls one is known stands beside it. By agent or team: the agent's own part.".to_owned(),
            Self::Talk => "Time in which the customer talked with any agent, without hold; answered calls.".to_owned(),
            Self::Hold => "Time for which agents held the customer; answered calls of which the switch tells holds.".to_owned(),
            Self::Wrap => "From the end of the agent's talk until the wrap-up was sent; calls with a wrap-up.".to_owned(),
            Self::Occupancy => "Busy and after-call time, of busy, after-call and ready time of agents who were there (a page open, or logged in to a queue). Not-ready time is in neither. Counted while the daemon runs, by days; what was counted in the minute before a crash is lost.".to_owned(),
            Self::FcrContact => format!("Answered inbound calls of a known customer (by the customer's record, not the number) after which the same customer did not call again within {fcr_days} days, for whatever reason and in whatever queue. Calls whose {fcr_days} days are not over are left out."),
            Self::FcrTicket => format!("Answered inbound calls of a known customer of which Linecard made a ticket, after which no call of this customer made another one or opened one again within {fcr_days} days. What people do in the ticket system itself is not seen here. Calls whose {fcr_days} days are not over are left out."),
            Self::FcrAnswer => format!("Answered calls with a yes, of those with a yes or a no, in the record's attribute {}: what the customer answered in a survey, or what the agent wrote there.", resolved.attribute),
            Self::Surveys => "Answered calls with a score or an answer of a survey in the record (the attributes of CSAT, NPS and FCR by answer), of all answered calls with a customer.".to_owned(),
            Self::Csat => format!("Answers of {good} to {best}, of all answers of 1 to {best} in the record's attribute {}. Who did not answer is in no figure.", csat.attribute),
            Self::Nps => format!("Share of answers 9 and 10 less share of answers 0 to 6, in points, of all answers of 0 to 10 in the record's attribute {}.", nps.attribute),
            Self::ManualOperations => "What agents did by hand across systems, per answered call: record opened, number copied, search typed, ticket made outside. Counted by the agent's page and by pages with the SDK; what is done elsewhere is not seen.".to_owned(),
            Self::ConsistencyErrors => "Differences that reconciliation found between our records, the switch's and the business systems', for each 1,000 records; without those that were gone at a later look or that a person accepted.".to_owned(),
        }
    }

    fn chinese(self, settings: &Settings) -> String {
        let Settings { service_level_s, short_abandon_s, fcr_days, csat, nps, resolved, .. } = settings;
        let (good, best) = (csat.good, csat.best);
        match self {
            Self::Calls => "该时段内结束的所有通话，按方向和结果。一通只计一次，无论修订多少次，计在结束的那一天。确定由两台交换机各报一次的，只计后面那台的。".to_owned(),
            Self::Offered => "需要有人接听的呼入：进过队列或振过话机，并且知道结果。IVR 自助完成的、非工作时间的不算。".to_owned(),
            Self::ServiceLevel => format!("从第一次进队列（没有则第一次振铃）起 {service_level_s} 秒内有人接听的，占需接听呼入的比例；短时放弃（{short_abandon_s} 秒以内）不计入分子，也不计入分母。队列可以有自己的秒数（kpis.service_levels）。计入接听的队列，没有接听则计入最后的队列。"),
            Self::Abandonment => format!("接听前客户离开的，占需接听呼入（不含短时放弃）的比例。{short_abandon_s} 秒以内离开的是短时放弃，另列。"),
            Self::Wait => "从第一次进队列（没有则第一次振铃）到有人接听，没有接听则到结束；需接听呼入，不含短时放弃。".to_owned(),
            Self::Aht => "每通已接通话的通话 + 保持 + 整理，呼入呼出和内部都算，取平均值。没有整理的按 0 计，旁边写明有多少通知道整理时长。按座席或团队时只算座席自己的部分。".to_owned(),
            Self::Talk => "客户与任一座席交谈的时间，不含保持；已接通话。".to_owned(),
            Self::Hold => "座席让客户保持的时间；交换机会告知保持的已接通话。".to_owned(),
            Self::Wrap => "从座席谈话结束到提交整理；做过整理的通话。".to_owned(),
            Self::Occupancy => "通话与整理时间，占在岗座席（开着页面或已登录队列）通话、整理、空闲时间之和的比例。示忙不计入。守护进程运行时按天累计；崩溃前一分钟内的会丢失。".to_owned(),
            Self::FcrContact => format!("已知客户（按客户记录，不按号码）的已接呼入中，此后 {fcr_days} 天内同一客户没有再来电的比例，不论原因和队列。还没满 {fcr_days} 天的不计。"),
            Self::FcrTicket => format!("已知客户、由 Linecard 建了工单的已接呼入中，此后 {fcr_days} 天内该客户的来电没有再建或重开工单的比例。人在工单系统里自己做的看不到。还没满 {fcr_days} 天的不计。"),
            Self::FcrAnswer => format!("记录属性 {} 里回答为是的，占回答是或否的比例：客户在评价里的回答，或座席填写的。", resolved.attribute),
            Self::Surveys => "有评价分数或回答的已接通话，占有客户的已接通话的比例。".to_owned(),
            Self::Csat => format!("记录属性 {} 里 {good} 到 {best} 分的，占 1 到 {best} 分全部回答的比例。没有回答的不计。", csat.attribute),
            Self::Nps => format!("记录属性 {} 里 9、10 分的比例减去 0 到 6 分的比例，以点计。", nps.attribute),
            Self::ManualOperations => "每通已接通话中座席跨系统手工做的事：打开记录、复制号码、输入搜索、在外部建工单。由座席页面和使用 SDK 的页面计数，别处做的看不到。".to_owned(),
            Self::ConsistencyErrors => "对账发现的我们的记录、交换机记录、业务系统之间的不同，每千条记录多少处；后来消失的和人认可的不计。".to_owned(),
        }
    }
}

#[must_use]
pub fn definitions(settings: &Settings) -> Vec<Definition> {
    let words = |en: &str, zh: &str| Words { en: en.to_owned(), zh: zh.to_owned() };
    let one = |figure: Id| Definition {
        figure,
        unit: figure.unit(),
        title: words(figure.title().0, figure.title().1),
        text: words(&figure.english(settings), &figure.chinese(settings)),
    };
    Id::ALL.into_iter().map(one).collect()
}

/// The table of the documentation.
#[must_use]
pub fn table(chinese: bool) -> String {
    let head = if chinese { "| 指标 | 名称 | 定义 |" } else { "| figure | name | definition |" };
    let mut out = format!("{head}\n| --- | --- | --- |\n");
    for one in definitions(&Settings::default()) {
        let (title, text) = if chinese { (one.title.zh, one.text.zh) } else { (one.title.en, one.text.en) };
        out.push_str(&format!("| `{}` | {title} | {text} |\n", one.figure.as_str()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_DOCS=1 cargo test the_table_in_the_kpis`.
    #[test]
    fn the_table_in_the_kpis_is_made_from_the_definitions() {
        for (name, chinese) in [("kpis.md", false), ("kpis.zh-CN.md", true)] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
            let text = std::fs::read_to_string(&path).unwrap();
            let (before, rest) = text.split_once("the_table_in_the_kpis -->\n").unwrap();
            let (_, after) = rest.split_once("<!-- /made -->").unwrap();
            let table = table(chinese);
            let whole = format!("{before}the_table_in_the_kpis -->\n{table}<!-- /made -->{after}");
            if std::env::var_os("UPDATE_DOCS").is_some() {
                std::fs::write(&path, &whole).unwrap();
            } else {
                assert!(text == whole, "docs/{name} is to have this table:\n{table}");
            }
        }
    }
}
