"""Decide a conjecture about preference worlds: a proof, the smallest exact counterexample, or what was tried."""
