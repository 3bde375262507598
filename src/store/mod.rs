//! Where what must last lies: words of its own, SQLite behind them.
