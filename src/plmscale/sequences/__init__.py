"""From FASTA to the token store: download, decompress, parse, tokenise, count.

In: a FASTA file or a URL. Out: the store, a folder of memory-mapped arrays that holds every protein once. Others use
`store`, `fasta`, `alphabet` and `retrieve`.
"""
