//! What can be done to the calls of a switch.

use super::command::Deed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    Works,
    /// Works where the switch itself is set up for it: what it takes, for people who keep switches.
    Needs(&'static str),
    /// Why not.
    Cannot(&'static str),
}

/// What one switch can do, verb by verb. The default can nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abilities([Ability; Deed::ALL.len()]);

impl Default for Abilities {
    fn default() -> Self {
        Self::of(|_| Ability::Cannot("this switch is not there"))
    }
}

impl Abilities {
    #[must_use]
    pub fn of(ability: impl Fn(Deed) -> Ability) -> Self {
        Self(Deed::ALL.map(ability))
    }

    #[must_use]
    pub fn ability(&self, deed: Deed) -> Ability {
        let at = Deed::ALL.iter().position(|other| *other == deed);
        at.and_then(|at| self.0.get(at)).copied().unwrap_or(Ability::Cannot("this switch does not know it"))
    }

    /// Whether it is worth a button.
    #[must_use]
    pub fn can(&self, deed: Deed) -> bool {
        !matches!(self.ability(deed), Ability::Cannot(_))
    }
}
