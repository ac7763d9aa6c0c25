//! Plans that once broke a promise, or that are kept for another reason: `reliability/seeds.toml`.

use serde::Deserialize;

use super::plan::Plan;

/// A plan that is played at every check.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regression {
    /// What it once found, or is kept for.
    pub reason: String,
    /// A seed whose plan is drawn; not together with `plan`.
    #[serde(default)]
    pub seed: Option<u64>,
    /// The plan itself, where it was made smaller.
    #[serde(default)]
    pub plan: Option<Plan>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    world: Vec<Regression>,
}

impl Regression {
    /// The plan to play; `None` if neither seed nor plan is given.
    pub fn plan(&self) -> Option<Plan> {
        self.plan.clone().or_else(|| self.seed.map(Plan::draw))
    }
}

/// Reads the plans that are kept.
///
/// # Errors
/// What the text lacks or has too much of.
pub fn regressions(text: &str) -> Result<Vec<Regression>, toml::de::Error> {
    toml::from_str::<File>(text).map(|file| file.world)
}
