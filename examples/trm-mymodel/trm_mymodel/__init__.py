"""An example plugin that adds a kind of model to trm."""

import trm


@trm.hookimpl
def trm_register_models(register):
    """Provide the kind of model ``mymodel``."""
    from trm_mymodel.model import MyModel  # imports torch, which not every command needs

    register(MyModel)
