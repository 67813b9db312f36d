"""Questions to a law: two quantities of a training run give the others.

In: a law (a study's, that of a fit, or a published one of proteins) and a `Question`. Out: an `Answer`, which is a
sentence, a table with intervals and distances beyond the runs, and the same for programs. `ask.ask` is the way in;
`sources` reads laws.
"""
