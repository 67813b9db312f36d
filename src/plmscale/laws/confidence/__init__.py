"""How sure: noise of runs, bootstrap, profile likelihood, misfit, runs held out; `verdicts` has the rules."""
