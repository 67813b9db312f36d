"""Learning rates: what sweeps found, the rule over sizes, and the rates of the runs that laws use beside them."""
