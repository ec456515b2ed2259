// SPDX-License-Identifier: GPL-2.0

//! Which one of the symbols of a name is meant: how positions are counted.

use super::name::{ObjectName, SymPos};
use super::refusal::Unresolved;
use core::ops::ControlFlow;

/// How far the search for one symbol is; `A` is what is wanted of it.
#[derive(Debug, Clone, Copy)]
pub struct Search<A> {
    position: SymPos,
    /// How many of that name were seen.
    count: u64,
    /// The last one of them, up to the one that is wanted.
    found: Option<A>,
}

impl<A: Copy> Search<A> {
    /// For the symbol at `position`.
    pub fn new(position: SymPos) -> Self {
        Search {
            position,
            count: 0,
            found: None,
        }
    }

    /// One more of that name. Breaks when more would not change the result.
    pub fn saw(&mut self, symbol: A) -> ControlFlow<()> {
        let SymPos(position) = self.position;
        if position != 0 && self.count >= position {
            return ControlFlow::Break(());
        }
        self.count = self.count.saturating_add(1);
        self.found = Some(symbol);
        if self.count == if position == 0 { 2 } else { position } {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// The symbol that is called `symbol` in `object`.
    ///
    /// # Errors
    ///
    /// There is none, or there are several and none was chosen, or fewer than the position says.
    pub fn result<'a>(
        &self,
        object: ObjectName<'a>,
        symbol: &'a [u8],
    ) -> core::result::Result<A, Unresolved<'a>> {
        let SymPos(position) = self.position;
        match self.found {
            None => Err(Unresolved::NotFound { symbol }),
            Some(_) if position == 0 && self.count > 1 => {
                Err(Unresolved::Ambiguous { symbol, object })
            }
            Some(_) if position != 0 && self.count != position => Err(Unresolved::Position {
                symbol,
                object,
                position: self.position,
            }),
            Some(found) => Ok(found),
        }
    }
}
