using static TorchSharp.torch;

namespace DiffusionGemma;

/// <summary>Makes one adapter, model or folder of the parts that ranks have trained.</summary>
internal static class TrainedParts
{
    /// <summary>The parameters that full fine-tuning trains, in the model's order.</summary>
    public static IReadOnlyList<TrainedParameter> Parameters(DiffusionGemmaModel model) =>
    [
        .. from parameter in model.Stack.Parameters
           where FullFineTuning.Trains(parameter.Key)
           let slice = DiffusionGemmaModel.IsStack(parameter.Key) ? ExpertSlice.First : ExpertSlice.None
           select new TrainedParameter(parameter.Key, parameter.Value, slice),
    ];

    /// <summary>The whole adapter, on the ranks that keep it. A collective.</summary>
    /// <param name="part">This rank's part.</param>
    /// <param name="ranks">The ranks with the parts.</param>
    /// <param name="device">Where the whole adapter goes.</param>
    /// <param name="keeps">False: null is returned.</param>
    public static LoraAdapter? GatherAdapter(LoraAdapter part, RankGroups ranks, Device device, bool keeps)
    {
        LoraAdapter whole = part.Map(
            (tensor, slice) => Gather(tensor, slice, ranks).to(device).clone(), experts => experts * ranks.Experts.Size);
        if (keeps) return whole;
        whole.Dispose();
        return null;
    }

    /// <summary>Gives a model its new adapter, or its existing adapter the new values.</summary>
    public static LoraAdapter SetAdapter(LoraAdapter trained, DiffusionGemmaModel model)
    {
        if (model.Adapter is not { } existing) return model.Adapter = trained;
        using IDisposable quiet = no_grad();
        using var scope = NewDisposeScope();
        foreach ((Tensor to, Tensor from) in existing.Parameters().Zip(trained.Parameters(), (a, b) => (a.Value, b.Value))) to.copy_(from);
        trained.Dispose();
        return existing;
    }

    /// <summary>Copies fully trained weights into a model, a tensor at a time. A collective.</summary>
    /// <param name="part">This rank's part.</param>
    /// <param name="ranks">The ranks with the parts.</param>
    /// <param name="model">The whole model; null: this rank only takes part.</param>
    public static void CopyTo(DiffusionGemmaModel part, RankGroups ranks, DiffusionGemmaModel? model)
    {
        using IDisposable quiet = no_grad();
        foreach (TrainedParameter parameter in Parameters(part))
        {
            using var scope = NewDisposeScope();
            Tensor whole = Gather(parameter.Value.detach(), parameter.Slice, ranks);
            model?.Own(name => name == parameter.Name);
            model?.Stack.Parameters[parameter.Name].copy_(whole);
        }
        model?.Changed.UnionWith(part.Changed);
    }

    /// <summary>Writes a Hugging Face folder with fully trained weights, on the first rank, a tensor at a time. A collective.</summary>
    public static void Save(DiffusionGemmaModel part, RankGroups ranks, string folder)
    {
        TrainedParameter[] stacks =
            [.. Parameters(part).Where(p => p.Slice != ExpertSlice.None && part.Changed.Contains(p.Name))];
        Tensor Own(int n) => ranks.FirstRankOfExpertSet == 0                                      // one set of experts is enough
            ? stacks[n].Value.detach().flatten()
            : empty(0, dtype: part.DType, device: ranks.Device);
        ParameterGather.Run(
            ranks,
            n => (Own(n), 0, stacks[n]),
            whole => part.SaveGathered(
                folder, stacks.Index().ToDictionary(s => s.Item.Name, s => (Func<Func<Tensor>, Tensor>)(_ => whole(s.Index)))));
    }

    /// <summary>A whole tensor, on every rank. A collective.</summary>
    private static Tensor Gather(Tensor part, ExpertSlice slice, RankGroups ranks)
    {
        if (slice == ExpertSlice.None || ranks.Experts.Size == 1) return part;
        using var scope = NewDisposeScope();
        int owners = ranks.Experts.Size;
        Tensor parts = empty([owners, .. part.shape], dtype: part.dtype, device: part.device);
        Tensor whole = empty(slice.WholeShape(part.shape, owners), dtype: part.dtype, device: part.device);
        ranks.Experts.AllGather(part.contiguous(), parts);
        for (int owner = 0; owner < owners; owner++) slice.CopyTo(parts[owner], whole, owner, owners);
        return whole.MoveToOuterDisposeScope();
    }
}
