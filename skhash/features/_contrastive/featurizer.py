"""Two encoders trained on pairs by contrastive losses, with clustered hard negatives."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ..._blocks import BLOCKS, BlockTransformer, block_names
from ..._estimators import Documented, without_class_defaults
from .._items import as_images, as_texts
from .._tables import library_of
from .parameters import check_parameters


@without_class_defaults
@dataclass(eq=False, repr=False, match_args=False)
class ContrastiveFeaturizer(Documented, BlockTransformer):
    r"""Train an image encoder and a text encoder on pairs; encode tables with them.

    Use it if you have image-caption pairs and no pretrained encoder for them. The method is
    iterative uni-modal and cross-modal clustered contrastive learning, after Zhu and Li [1]_: two
    encoders, a cross-modal loss and two uni-modal losses, and rounds in which clusters of the
    features provide hard negatives. Only title and abstract of the paper were available; the
    details are *inferred*, after SLIP [2]_, SimCSE [3]_, GRIT-VLP [4]_ and ProtoCLIP [5]_. The
    paper uses a ViT and a BERT; here, the default image encoder is a small ResNet, which needs
    fewer images. The loss of a batch is

    .. math:: L = L_{cross} + \lambda_i L_{image} + \lambda_t L_{text}

    with the symmetric InfoNCE of the pairs, NT-Xent of two views of each image, and InfoNCE of two
    forward passes of each text. Rows of one group, or with the same caption, are not used as
    negatives of each other. No labels are used.

    Training has four stages, with one learning rate schedule over all of them: *align* (only the
    projections are trained), *unimodal* (only the uni-modal losses), *joint* (all losses, random
    batches) and *clustered*. The last stage is repeated `n_rounds` times: all rows are encoded and
    clustered, and a part of each batch consists of groups of neighbours. A stage of 0 epochs is
    left out.

    ``transform`` encodes the images, the texts or both, whichever the table has, as
    :class:`CrossModalFeaturizer` does.

    Parameters
    ----------
    **Encoders**

    towers : str or tuple of (str, str or None), default="small"
        The two encoders. ``"small"``: an image encoder and a BERT of the sizes below, with random
        weights and a vocabulary that ``fit`` learns; nothing is downloaded. Or a model of open_clip
        as in :class:`CLIPFeaturizer`, as a tuple of its name and a tag or file of weights, or as
        ``"local-dir:<folder>"``. Or a tuple of an image encoder of timm and a text encoder of
        transformers, such as ``("vit_small_patch16_224", "bert-base-uncased")``.
    image_tower : {"resnet", "vit"}, default="resnet"
        For ``"small"``: the ResNet of CLIP, which learns shapes from few images, or a vision
        transformer, as in the paper.
    image_size, patch_size : int, default=64, 16
        For ``"small"``: side lengths of the images, and of the patches of a ViT, in pixels.
    width, image_layers, text_layers : int, default=64, 4, 2
        For ``"small"``: width, and numbers of layers, of the encoders.
    embed_dim : int, default=128
        For ``"small"``: number of features of each modality.
    dropout : float, default=0.1
        For ``"small"``: dropout of the text encoder. It is why two forward passes of a text differ.
    vocabulary_size : int, default=8192
        For ``"small"``: largest number of words in the vocabulary.
    weights_dir : str or path, default=None
        Folder of downloaded weights. ``None`` means the cache of huggingface_hub.
    local_files_only : bool, default=False
        Whether to use only local files for pretrained weights, without any access to the network.

    **Tables**

    image_column, text_column : str, default="image", "text"
        Names of the columns with the images and the texts.

    **Stages**

    align_epochs, unimodal_epochs, joint_epochs, round_epochs : int, default=0, 0, 12, 2
        Number of epochs of each stage; `round_epochs` is that of each round of the clustered stage.
    n_rounds : int, default=2
        Number of rounds of the clustered stage.
    train : {"all", "image", "text", "projections"}, default="all"
        Which encoders are trained after the align stage; ``"projections"`` trains only their last
        layers.

    **Optimization**

    batch_size : int, default=128
        Number of pairs in a batch, over all processes together. If there are fewer pairs, or groups
        of pairs, that number is used.
    learning_rate : float, default=2e-3
        Largest learning rate of AdamW. 2e-3 suits small encoders, and 1e-5 pretrained ones.
    align_learning_rate, clustered_learning_rate : float, default=None
        Largest learning rates of these two stages. ``None`` means `learning_rate`.
    warmup : float, default=0.05
        Share of all steps in which the learning rate increases from 0.
    weight_decay : float, default=0.1
        Weight decay of weight matrices; biases and scales have none.
    max_grad_norm : float, default=1.0
        Largest Euclidean norm of the gradient; a larger one is scaled down to it.
    accumulation : int, default=1
        Number of batches whose gradients are added up for one step. Negatives are those of one
        batch.
    precision : {"fp32", "bf16"}, default="fp32"
        Number format of the forward pass in training.
    gradient_checkpointing : bool, default=False
        Whether to compute activations a second time instead of storing them, which saves memory.

    **Losses**

    image_weight, text_weight : float, default=0.5
        Weights :math:`\lambda_i`, :math:`\lambda_t` of the uni-modal losses.
    image_temperature, text_temperature : float, default=0.1, 0.05
        Temperatures of the uni-modal losses.
    image_head, text_head : {"mlp", "linear"} or None, default="mlp"
        Network between the output of an encoder and its uni-modal loss, which is discarded after
        training. With ``None``, the loss compares the features themselves.
    mask_threshold : float, default=None
        Rows whose cosine, averaged over both modalities, is larger than this are not used as
        negatives either. ``None`` means that no such rows are excluded.

    **Positives**

    augment : {"mild", "simclr"}, default="mild"
        How strongly two views of an image differ. ``"mild"`` does not mirror images or change
        colours, because captions name sides and colours.
    cross_view : {"plain", "augmented"}, default="plain"
        Which image the cross-modal loss uses: the image itself, with which training on many pairs
        is faster, or an augmented view, which reduces overfitting if there are few pairs. It is
        also the first of the two views.
    text_positive : {"dropout", "word_dropout", "caption"}, default="dropout"
        How the second view of a text is made: by another forward pass with dropout, by dropping
        words, or by taking another caption of the same group.

    **Hard negatives**

    cluster_on : {"joint", "image", "text"}, default="joint"
        Which features are clustered.
    n_clusters : int, default=None
        Number of clusters. ``None`` means the number of batches.
    group_size : int, default=8
        Number of rows of one cluster that are put into a batch together.
    hard_fraction : float, default=0.5
        Share of a batch that consists of such groups.

    **Early stopping**

    early_stopping : bool, default=False
        Whether to stop when the recall of held-out pairs no longer improves, and to keep the best
        weights.
    validation_fraction : float, default=0.1
        Share of the pairs to hold out for early stopping, if `X_val` is not given.
    n_iter_no_change : int, default=5
        Number of epochs without improvement after which training stops.
    tol : float, default=1e-4
        Smallest increase of the recall that counts as an improvement.

    **Computation**

    checkpoint_dir : str or path, default=None
        Folder for a checkpoint after each epoch. ``fit`` with the same data and parameters
        continues from there; on a CPU the result is the same, bit for bit, as without the
        interruption.
    warm_start : bool, default=False
        Whether ``fit`` starts from the encoders of the previous fit.
    random_state : int, RandomState instance, Generator or None, default=None
        Seed of weights, batches, views and dropout. Dropout of torch can only use the global
        generator of torch, which is restored after each batch. Threads that train at the same time
        wait for each other there. If another thread draws from that generator meanwhile, the result
        changes.
    device : str, default="auto"
        Device of torch; ``"auto"`` means ``"cuda"`` if available, else ``"cpu"``.
    verbose : int, default=0
        1 prints about ten lines in all, 2 one line for each epoch.

    Attributes
    ----------
    state_ : dict of str to ndarray
        Weights of both encoders.
    config_ : dict
        Architecture of the encoders, preprocessing of images, and vocabulary.
    history_ : pandas.DataFrame
        A row for each epoch: stage, round, means of the loss terms, share of pairs of rows that are
        not used as negatives, temperature, seconds, sizes of the clusters, and, if there are
        validation pairs, their recalls.
    n_features_in_ : int
        Number of columns in ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Names of the columns, if `X` was a dataframe.

    References
    ----------
    .. [1] Y. Zhu and X. Li, "Iterative Uni-modal and Cross-modal Clustered Contrastive Learning for
       Image-text Retrieval", PRMVIA 2023.
    .. [2] N. Mu, A. Kirillov, D. Wagner and S. Xie, "SLIP: Self-supervision Meets Language-Image
       Pre-training", ECCV 2022.
    .. [3] T. Gao, X. Yao and D. Chen, "SimCSE: Simple Contrastive Learning of Sentence Embeddings",
       EMNLP 2021.
    .. [4] J. Byun, T. Hwang, J. Fu and T. Moon, "GRIT-VLP: Grouped Mini-batch Sampling for
       Efficient Vision and Language Pre-training", ECCV 2022.
    .. [5] D. Chen et al., "Prototypical Contrastive Language Image Pretraining", IEEE Transactions
       on Neural Networks and Learning Systems, 2023.

    Examples
    --------
    >>> from skhash.datasets import make_scenes
    >>> from skhash.features import ContrastiveFeaturizer
    >>> pairs = make_scenes(40, image_size=32, random_state=0).frame
    >>> featurizer = ContrastiveFeaturizer(
    ...     image_size=32, width=32, image_layers=4, text_layers=1, embed_dim=16,
    ...     joint_epochs=1, n_rounds=1, round_epochs=1, batch_size=16, random_state=0,
    ... )
    >>> featurizer.fit_transform(pairs).shape
    (40, 32)
    >>> featurizer.encode_text(["a red ring"]).shape
    (1, 16)
    """

    towers: Any = "small"
    _: KW_ONLY
    image_tower: str = "resnet"
    image_size: int = 64
    patch_size: int = 16
    width: int = 64
    image_layers: int = 4
    text_layers: int = 2
    embed_dim: int = 128
    dropout: float = 0.1
    vocabulary_size: int = 8192
    weights_dir: Any = None
    local_files_only: bool = False
    image_column: str = "image"
    text_column: str = "text"
    align_epochs: int = 0
    unimodal_epochs: int = 0
    joint_epochs: int = 12
    round_epochs: int = 2
    n_rounds: int = 2
    train: str = "all"
    batch_size: int = 128
    learning_rate: float = 2e-3
    align_learning_rate: float | None = None
    clustered_learning_rate: float | None = None
    warmup: float = 0.05
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0
    accumulation: int = 1
    precision: str = "fp32"
    gradient_checkpointing: bool = False
    image_weight: float = 0.5
    text_weight: float = 0.5
    image_temperature: float = 0.1
    text_temperature: float = 0.05
    image_head: str | None = "mlp"
    text_head: str | None = "mlp"
    mask_threshold: float | None = None
    augment: str = "mild"
    cross_view: str = "plain"
    text_positive: str = "dropout"
    cluster_on: str = "joint"
    n_clusters: int | None = None
    group_size: int = 8
    hard_fraction: float = 0.5
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 5
    tol: float = 1e-4
    checkpoint_dir: Any = None
    warm_start: bool = False
    random_state: Any = None
    device: str = "auto"
    verbose: int = 0

    def fit(self, X, y=None, *, groups=None, X_val=None):
        """Train the encoders on pairs.

        Parameters
        ----------
        X : dataframe or ndarray of shape (n_samples, 2), object
            Raw pairs: the columns `image_column` and `text_column`.
        y : object, default=None
            Not used.
        groups : array-like of shape (n_samples,), default=None
            Ids of groups of rows, such as the captions of one image. Rows of one group are never
            negatives of each other and never in the same batch.
        X_val : dataframe or ndarray of shape (n_val, 2), object, default=None
            Pairs to compute recalls on after each epoch, instead of held-out pairs of `X`.

        Returns
        -------
        ContrastiveFeaturizer
            The fitted featurizer itself.

        Raises
        ------
        ValueError
            If a parameter is out of range, a block or an item is missing or cannot be read, there
            is only one group of rows, or all captions or images are equal.
        TypeError
            If an item is neither an image nor a text.
        OSError
            If pretrained weights can be neither found nor downloaded.
        FloatingPointError
            If the loss stops being finite in the first epoch.

        Warns
        -----
        UserWarning
            If there are fewer rows, or groups of rows, than `batch_size`, or too few rows for
            clustered batches; random batches are then used instead.
        ConvergenceWarning
            If the loss stops being finite later, or Ctrl-C is pressed: the featurizer has the
            weights of the last whole epoch, or of the best one with `early_stopping`.
        """
        from .fit import fit

        check_parameters(self)
        fresh = not (self.warm_start and self.__sklearn_is_fitted__())
        fit(self, X, groups, X_val, fresh=fresh)
        return self

    def partial_fit(self, X, y=None, *, groups=None):
        """Train for one pass of the joint stage over a chunk of pairs.

        The first chunk determines the encoders, and the vocabulary of small ones. The learning rate
        stays the same.

        Parameters
        ----------
        X : dataframe or ndarray of shape (n_samples, 2), object
            Raw pairs.
        y : object, default=None
            Not used.
        groups : array-like of shape (n_samples,), default=None
            As in `fit`.

        Returns
        -------
        ContrastiveFeaturizer
            The featurizer itself.
        """
        from .fit import partial_fit

        check_parameters(self)
        partial_fit(self, X, groups)
        return self

    def hard_batches(self, X, *, groups=None):
        """Return the batches of a clustered round.

        This shows the effect of `cluster_on`, `n_clusters`, `group_size` and `hard_fraction`.

        Parameters
        ----------
        X : dataframe or ndarray of shape (n_samples, 2), object
            Raw pairs.
        groups : array-like of shape (n_samples,), default=None
            As in `fit`.

        Returns
        -------
        ndarray of shape (n_batches, batch_size), int64
            Row numbers of `X`. A batch begins with groups of `group_size` rows of one cluster,
            which fill a share `hard_fraction` of it. The other rows are random.

        Raises
        ------
        ValueError
            If there are fewer rows than in two batches, or no more rows than clusters.
        """
        from .fit import hard_batches

        check_is_fitted(self)
        check_parameters(self)
        return hard_batches(self, X, groups)

    def transform(self, X):
        """Encode images, texts or both, whichever the table has.

        Parameters
        ----------
        X : dataframe or ndarray of shape (n_samples, 2), object
            Images and texts, or a dataframe with only one of the two columns.

        Returns
        -------
        dataframe or ndarray of shape (n_samples, n_features), float32
            Columns ``image__*``, then ``text__*``; the rows of each block have unit length. If `X`
            is a dataframe, the result is one of the same library.
        """
        from .pairs import raw_items

        check_is_fitted(self)
        items = raw_items(X, self.image_column, self.text_column)
        encoded = [self._encode(block, values) for block, values in items.items()]
        names = [name for block in items for name in self._names(block)]
        return self._wrap_output(np.hstack(encoded), names, X, default=library_of(X))

    def encode_image(self, images):
        """Encode images alone.

        Parameters
        ----------
        images : sequence of shape (n_samples,)
            Paths, bytes, PIL images or uint8 arrays, or ``{"bytes": ..., "path": ...}``.

        Returns
        -------
        ndarray of shape (n_samples, embed_dim), float32
            Unit vectors.
        """
        check_is_fitted(self)
        return self._encode("image", as_images(images))

    def encode_text(self, texts):
        """Encode texts alone.

        Parameters
        ----------
        texts : sequence of shape (n_samples,), str
            The texts.

        Returns
        -------
        ndarray of shape (n_samples, embed_dim), float32
            Unit vectors.
        """
        check_is_fitted(self)
        return self._encode("text", as_texts(texts))

    def save_pretrained(self, folder):
        """Save the encoders in open_clip's own format.

        ``CLIPFeaturizer("local-dir:<folder>")``, open_clip itself and
        ``ContrastiveFeaturizer("local-dir:<folder>")`` load them.

        Parameters
        ----------
        folder : str or path
            A new or empty folder, or one with a saved model, which is replaced in one step: if the
            process is killed, the folder contains either the old or the new model.

        Raises
        ------
        ValueError
            If `folder` is a file or the working directory, or contains other files.
        """
        from .._towers.folder import save_towers

        check_is_fitted(self)
        save_towers(folder, self.config_, self.state_)

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns of a pair.

        Parameters
        ----------
        input_features : object, default=None
            Not used.

        Returns
        -------
        ndarray of shape (n_features,), object
            ``image__0``, ..., ``text__0``, ...
        """
        check_is_fitted(self)
        return np.array([n for b in BLOCKS for n in self._names(b)], dtype=object)

    def _names(self, block):
        return block_names(block, range(self.config_["model_cfg"]["embed_dim"]))

    def _encode(self, block, items):
        from .fit import encode

        return encode(self, block, items)

    def __getstate__(self):
        state: Any = super().__getstate__()
        if "history_" in state:  # not every format of files holds dataframes
            state = {**state, "history_": state["history_"].to_dict("list")}
        return state

    def __setstate__(self, state):
        if isinstance(state.get("history_"), dict):
            state = {**state, "history_": pd.DataFrame(state["history_"])}
        super().__setstate__(state)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "state_")
