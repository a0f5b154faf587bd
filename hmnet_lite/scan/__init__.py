"""The selective scan: its definition, its fast versions, and the one door to all of them.

Words (code name, paper symbol, meaning); every other file uses them as they stand here.

    u               x              scan input, (batch, channels, length)
    delta           Δ              step size, same shape as u, positive after the softplus
    A               A              (channels, state), negative: how fast each state forgets
    B, C            B, C           (batch, groups, state, length): what is written, what is read
    D               D              (channels,) skip connection
    state           h              (batch, channels, state): the memory
    decay           Ā = exp(ΔA)    the part of the state that one step keeps
    support_state   H_S            state after the first pass over the support
    recap_ratio     α              query cut in α × α patches, support shrunk by α (4)
    support_keep    P = exp(A ΣΔ)  what of a state is left after the support has been read over it
    recap           SRM, eq. 5-8   h ← support_keep ⊙ h + support_state: the support read once more
    query, support  I_q, I_s       the picture to segment; the pictures with masks that show how
    FG, BG          -              foreground (the class sought) and background
    shot            K              number of support pictures in an episode
    episode         -              one query with its supports, of one class
    fold            i of 5^i, 20^i which classes are novel
    base / novel    C_base / C_nov classes seen in training / only in testing
"""
