"""Data files become Arrow record batches in a process of their own (`child`), which a run starts through `decoder`.

The files are a tenant's, and decoders of Parquet and gzip are large programs in C++: a file that crashes, fills or captures one does so in
a process with bounds on memory and time, without the executor's environment, files and connections.
"""
