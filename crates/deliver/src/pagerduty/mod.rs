//! PagerDuty, Events API v2.
//!
//! `docs/receivers.md` says for people what is sent and what each answer means.

mod event;

use std::time::Duration;

use plimsoll_model::{Delivery, Outcome};
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};

use crate::http::{self, Answer};
use crate::secret::REDACTED;
use crate::{Error, Secret, address, text};
use event::Detail;

/// How much of an answer is kept for a person, in characters.
const ANSWER_CHARACTERS_MAX: usize = 300;

/// The longest key that PagerDuty accepts, in characters.
const KEY_CHARACTERS_MAX: usize = 255;

/// The settings of one PagerDuty service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerDutyConfig {
    /// The integration key of the service (Events API v2).
    pub routing_key: Secret,
    /// Where events go. Another region, or a receiver that speaks the same protocol.
    #[serde(default = "default_url")]
    pub url: String,
    /// How long one request may take, its answer included.
    #[serde(default = "default_timeout")]
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub timeout: Duration,
}

fn default_url() -> String {
    "https://events.pagerduty.com/v2/enqueue".to_owned()
}

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

impl PagerDutyConfig {
    /// The default settings with this integration key.
    pub fn new(routing_key: Secret) -> PagerDutyConfig {
        PagerDutyConfig { routing_key, url: default_url(), timeout: default_timeout() }
    }
}

/// A PagerDuty service.
#[derive(Debug)]
pub struct PagerDuty {
    name: String,
    routing_key: Secret,
    url: Url,
    timeout: Duration,
    client: Client,
}

impl PagerDuty {
    /// A sink called `name`. Connects to nothing yet.
    pub fn new(name: impl Into<String>, config: PagerDutyConfig) -> Result<PagerDuty, Error> {
        let name = name.into();
        if config.routing_key.is_empty() {
            return Err(Error::Config(format!("`routing_key` of sink `{name}` is empty")));
        }
        if config.timeout.is_zero() {
            return Err(Error::Config(format!("`timeout` of sink `{name}` must be above zero")));
        }
        Ok(PagerDuty {
            url: address::checked(&config.url, "url")?,
            client: http::client()?,
            routing_key: config.routing_key,
            timeout: config.timeout,
            name,
        })
    }

    /// The sink's name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What [`PagerDuty::deliver`] would post, with a placeholder for the integration key; or
    /// `None` if the delivery is not a page. The same delivery gives the same bytes.
    pub fn body(&self, delivery: &Delivery) -> Option<String> {
        let body = event::body(delivery, REDACTED, Detail::Full)?;
        Some(String::from_utf8(body).expect("serde_json writes UTF-8"))
    }

    /// Makes one attempt.
    ///
    /// If the service answers 400 the event is posted once more in its smallest form, because a
    /// page without details is better than none.
    pub async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let key_characters = delivery.key.chars().count();
        if key_characters == 0 || key_characters > KEY_CHARACTERS_MAX {
            return refused(format!("a key of {key_characters} characters cannot be sent"));
        }
        let mut outcome = self.attempt(delivery, Detail::Full).await;
        if let Attempt::Malformed(_) = outcome {
            outcome = self.attempt(delivery, Detail::Smallest).await;
        }
        match outcome {
            Attempt::Ended(outcome) => outcome,
            Attempt::Malformed(error) => refused(error),
        }
    }

    async fn attempt(&self, delivery: &Delivery, detail: Detail) -> Attempt {
        let Some(body) = event::body(delivery, self.routing_key.reveal(), detail) else {
            let error = format!("sink `{}` takes pages, not rows", self.name);
            return Attempt::Ended(refused(error));
        };
        match http::post_json(&self.client, &self.url, body, self.timeout).await {
            Ok(answer) => self.judge(&answer),
            Err(error) => Attempt::Ended(Outcome::Later { after: None, error }),
        }
    }

    /// What an answer means. An unknown status counts as `Later`: a page is not lost to a guess.
    fn judge(&self, answer: &Answer) -> Attempt {
        let said = self.said(answer);
        Attempt::Ended(match answer.status {
            200..=299 => Outcome::Accepted { answer: said },
            300..=399 => refused(format!("{said}; redirects are not followed: set `url` anew")),
            400 | 413 | 422 => return Attempt::Malformed(said),
            401 | 403 | 404 | 410 => refused(format!("{said}; check `routing_key` and `url`")),
            _ => Outcome::Later { after: answer.retry_after, error: said },
        })
    }

    /// Host, status and the head of the body, without the key even if the receiver repeats it.
    fn said(&self, answer: &Answer) -> String {
        let body = String::from_utf8_lossy(&answer.body);
        let body = self.routing_key.redact(body.trim());
        let said = format!("{} answered {}", address::place(&self.url), answer.status);
        match body.is_empty() {
            true => said,
            false => format!("{said}: {}", text::fit(&body, ANSWER_CHARACTERS_MAX)),
        }
    }
}

/// The end of one request.
enum Attempt {
    /// It decides.
    Ended(Outcome),
    /// The receiver cannot read the event.
    Malformed(String),
}

fn refused(error: String) -> Outcome {
    Outcome::Refused { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_needs_the_key_only() {
        let config: PagerDutyConfig = serde_json::from_str(r#"{"routing_key":"k"}"#).unwrap();
        assert_eq!(config, PagerDutyConfig::new(Secret::new("k")));
        let json = r#"{"routing_key":"k","timeout":"2s"}"#;
        let config: PagerDutyConfig = serde_json::from_str(json).unwrap();
        assert_eq!(config.timeout, Duration::from_secs(2));
        assert!(serde_json::from_str::<PagerDutyConfig>(r#"{"routing_key":"k","x":1}"#).is_err());
    }

    #[test]
    fn a_sink_never_shows_its_key() {
        let config = PagerDutyConfig::new(Secret::new("hunter2"));
        let json = serde_json::to_string(&config).unwrap();
        let shown = format!("{config:?} {json} {:?}", PagerDuty::new("oncall", config.clone()));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_unusable_configuration_is_refused() {
        let config = PagerDutyConfig::new(Secret::new(""));
        assert!(PagerDuty::new("oncall", config).is_err());
        let mut config = PagerDutyConfig::new(Secret::new("k"));
        config.url = "http://events.example".into();
        assert!(PagerDuty::new("oncall", config).is_err());
    }
}
