"""What a process gives up before it loads a model: files, network, other processes, memory without end."""
