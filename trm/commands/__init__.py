"""The commands of ``trm``, one file a group."""
