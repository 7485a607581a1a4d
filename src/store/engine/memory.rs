//! An engine in memory, for tests and simulation: what it holds is gone with it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Engine, EngineError, EngineRegister, KeyRange, Merged, RegisterKey, Sift};

#[derive(Debug, Default)]
struct State {
    registers: BTreeMap<RegisterKey, EngineRegister>,
    meta: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Registers and small values in ordered maps.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    state: Mutex<State>,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for MemoryEngine {
    fn merge(
        &self,
        deltas: &[EngineRegister],
        sweep: &[KeyRange],
        sift: &dyn Sift,
        visit: &mut dyn FnMut(Merged<'_>),
    ) -> Result<(), EngineError> {
        let mut state = self.state();
        for delta in deltas {
            let old = state.registers.get(&delta.key).cloned();
            let mut new = old.clone().unwrap_or_else(|| delta.clone());
            new.progress.join(&delta.progress);
            new.arrived = new.arrived.max(delta.arrived);
            let kept = sift.keeps(new.key, new.profile.as_str(), &new.progress);
            visit(Merged {
                key: delta.key,
                old: old.as_ref().map(|old| &old.progress),
                new: kept.then_some(&new.progress),
                arrived: new.arrived,
            });
            if kept {
                state.registers.insert(new.key, new);
            } else {
                state.registers.remove(&delta.key);
            }
        }
        for range in sweep {
            state.registers.retain(|key, register| {
                let kept = !range.contains(*key) || sift.keeps(*key, register.profile.as_str(), &register.progress);
                if !kept {
                    visit(Merged { key: *key, old: Some(&register.progress), new: None, arrived: register.arrived });
                }
                kept
            });
        }
        Ok(())
    }

    fn scan(&self, range: KeyRange, visit: &mut dyn FnMut(EngineRegister) -> ControlFlow<()>) -> Result<(), EngineError> {
        // Cloned first: a visitor may call back into the store.
        let found: Vec<EngineRegister> = self.state().registers.range(range.first..=range.last).map(|(_, one)| one.clone()).collect();
        for register in found {
            if visit(register).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn meta(&self, name: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.state().meta.get(name).cloned())
    }

    fn meta_under(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, EngineError> {
        let state = self.state();
        let under = state.meta.range(prefix.to_vec()..).take_while(|(name, _)| name.starts_with(prefix));
        Ok(under.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn put_meta(&self, changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), EngineError> {
        let mut state = self.state();
        for (name, value) in changes {
            match value {
                Some(value) => state.meta.insert(name.clone(), value.clone()),
                None => state.meta.remove(name),
            };
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), EngineError> {
        Ok(())
    }
}
