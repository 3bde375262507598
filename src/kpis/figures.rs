//! Which figures there are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::query::Dimension;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Id {
    Calls,
    Offered,
    ServiceLevel,
    Abandonment,
    Wait,
    Aht,
    Talk,
    Hold,
    Wrap,
    Occupancy,
    FcrContact,
    FcrTicket,
    FcrAnswer,
    Surveys,
    Csat,
    Nps,
    ManualOperations,
    ConsistencyErrors,
}

impl Id {
    pub const ALL: [Self; 18] = [
        Self::Calls,
        Self::Offered,
        Self::ServiceLevel,
        Self::Abandonment,
        Self::Wait,
        Self::Aht,
        Self::Talk,
        Self::Hold,
        Self::Wrap,
        Self::Occupancy,
        Self::FcrContact,
        Self::FcrTicket,
        Self::FcrAnswer,
        Self::Surveys,
        Self::Csat,
        Self::Nps,
        Self::ManualOperations,
        Self::ConsistencyErrors,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Offered => "offered",
            Self::ServiceLevel => "service_level",
            Self::Abandonment => "abandonment",
            Self::Wait => "wait",
            Self::Aht => "aht",
            Self::Talk => "talk",
            Self::Hold => "hold",
            Self::Wrap => "wrap",
            Self::Occupancy => "occupancy",
            Self::FcrContact => "fcr_contact",
            Self::FcrTicket => "fcr_ticket",
            Self::FcrAnswer => "fcr_answer",
            Self::Surveys => "surveys",
            Self::Csat => "csat",
            Self::Nps => "nps",
            Self::ManualOperations => "manual_operations",
            Self::ConsistencyErrors => "consistency_errors",
        }
    }

    /// Whether it can be told for groups by these, or of a part of the calls by them.
    #[must_use]
    pub fn can_be_told(self, by: &[Dimension]) -> bool {
        let only = |known: &[Dimension]| by.iter().all(|dimension| known.contains(dimension));
        match self {
            // A caller who gave up had no agent.
            Self::Offered | Self::ServiceLevel | Self::Abandonment => {
                !by.iter().any(|dimension| matches!(dimension, Dimension::Agent | Dimension::Team))
            }
            // An agent's time is of no queue, and is kept by days.
            Self::Occupancy => only(&[Dimension::Day, Dimension::Agent, Dimension::Team, Dimension::Tenant]),
            // What differs may be a call of which nothing more is known.
            Self::ConsistencyErrors => only(&[Dimension::Day, Dimension::Hour, Dimension::Tenant]),
            _ => true,
        }
    }
}
