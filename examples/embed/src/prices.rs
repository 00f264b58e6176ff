//! A capability of this program: the catalogue of a shop, for chainlets that import `shop:catalogue/prices`.
//!
//! `wit/shop.wit` has the interface. chain.toml may set a discount for a chainlet:
//!
//! ```toml
//! [chainlets.quote]
//! capabilities.prices = { discount = 10 }
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use chainhost::capability::wasmtime::component::{HasSelf, Linker};
use chainhost::capability::wasmtime_wasi::WasiCtxBuilder;
use chainhost::capability::{Capability, GrantRequest, Measure, ReplicaState, Row, StateError, wasmtime};
use chainhost::config::ConfigError;
use serde::Deserialize;

use self::bindings::shop::catalogue::prices;

mod bindings {
    chainhost::capability::wasmtime::component::bindgen!({
        path: "wit",
        interfaces: "import shop:catalogue/prices@1.0.0;",
        wasmtime_crate: chainhost::capability::wasmtime,
    });
}

/// The capability, with the price of each article in cents.
pub struct Prices(pub Arc<HashMap<String, u64>>);

/// The settings of a chainlet in chain.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The discount of the chainlet's users, in percent.
    #[serde(default)]
    discount: u8,
}

/// The view that one replica has of the catalogue.
pub struct View {
    articles: Arc<HashMap<String, u64>>,
    discount: u64,
}

impl Capability for Prices {
    type Grant = View;
    type State = Arc<View>;

    fn name(&self) -> &'static str {
        "prices"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["shop:catalogue/prices"]
    }

    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        prices::add_to_linker::<_, HasSelf<_>>(linker, ReplicaState::of_mut::<Prices>)
    }

    async fn allows(&self, chainlet: &GrantRequest<'_>) -> Result<bool, ConfigError> {
        let Settings { discount } = chainlet.settings("prices")?;
        if discount > 100 {
            let place = chainlet.chain.at(chainlet.key().key("capabilities").key("prices").key("discount"));
            let message = format!("expected at most 100 percent, found {discount}");
            return Err(ConfigError::new(place, message, "write it like discount = 10"));
        }
        Ok(true)
    }

    async fn grant(&self, chainlet: &GrantRequest<'_>) -> Result<View, ConfigError> {
        let Settings { discount } = chainlet.settings("prices")?;
        Ok(View { articles: self.0.clone(), discount: discount.into() })
    }

    fn state(&self, view: &Arc<View>, _: u32, _: &mut WasiCtxBuilder) -> Result<Arc<View>, StateError> {
        Ok(view.clone())
    }

    fn rows(&self, _: &GrantRequest<'_>) -> Vec<Row> {
        vec![Row::new("prices", format_args!("{} articles", self.0.len()))]
    }

    fn measures(&self, view: &View) -> Vec<Measure> {
        let articles = i64::try_from(view.articles.len()).unwrap_or(i64::MAX);
        vec![Measure::gauge("articles", "Articles in the catalogue.", articles)]
    }
}

impl prices::Host for Arc<View> {
    fn price(&mut self, article: String) -> Option<u64> {
        self.articles.get(&article).map(|cents| cents * (100 - self.discount) / 100)
    }
}
