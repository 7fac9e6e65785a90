using Mono.Cecil;
using Mono.Cecil.Cil;

namespace DiffusionGemma;

/// <summary>
/// Collects the top-level types that a type refers to: bases, attributes, fields, signatures, constraints and the instructions of its
/// methods.
/// </summary>
internal static class TypeReferences
{
    public static TypeKey KeyOf(TypeReference type)
    {
        while (type.DeclaringType is not null) type = type.DeclaringType;
        string project = type.Scope is ModuleDefinition module ? module.Assembly.Name.Name : type.Scope.Name;
        return new TypeKey(project, type.FullName);
    }

    /// <summary>A type and all types nested in it, among them the compiler's closures and state machines.</summary>
    public static IEnumerable<TypeDefinition> WithNested(TypeDefinition type) => type.NestedTypes.SelectMany(WithNested).Prepend(type);

    /// <summary>The assembly and the name of each method that a type's methods call, those of its nested types included.</summary>
    public static IReadOnlySet<(string Assembly, string Method)> CallsOf(TypeDefinition type) => (
        from one in WithNested(type)
        from method in one.Methods
        where method.HasBody
        from instruction in method.Body.Instructions
        let called = instruction.Operand as MethodReference
        where called is not null
        select (KeyOf(called.DeclaringType.GetElementType()).Project, called.Name)).ToHashSet();

    /// <summary>Each type once, the type itself among them.</summary>
    public static IReadOnlySet<TypeKey> Of(TypeDefinition type)
    {
        var keys = new HashSet<TypeKey>();
        foreach (TypeDefinition one in WithNested(type))
        {
            Add(one.BaseType);
            foreach (InterfaceImplementation implemented in one.Interfaces) Add(implemented.InterfaceType);
            foreach (FieldDefinition field in one.Fields)
            {
                Add(field.FieldType);
                AddAttributes(field);
            }
            foreach (PropertyDefinition property in one.Properties) AddAttributes(property);
            AddAttributes(one);
            AddConstraints(one);
            foreach (MethodDefinition method in one.Methods) AddMethod(method);
        }
        return keys;

        void AddMethod(MethodDefinition method)
        {
            AddSignature(method);
            AddAttributes(method);
            AddConstraints(method);
            if (!method.HasBody) return;
            foreach (VariableDefinition variable in method.Body.Variables) Add(variable.VariableType);
            foreach (ExceptionHandler handler in method.Body.ExceptionHandlers) Add(handler.CatchType);
            foreach (Instruction instruction in method.Body.Instructions)
            {
                if (instruction.Operand is TypeReference used) Add(used);
                else if (instruction.Operand is FieldReference field) AddField(field);
                else if (instruction.Operand is MethodReference called) AddSignature(called);
            }
        }

        void AddField(FieldReference field)
        {
            Add(field.DeclaringType);
            Add(field.FieldType);
        }

        void AddSignature(MethodReference method)
        {
            Add(method.DeclaringType);
            Add(method.ReturnType);
            foreach (ParameterDefinition parameter in method.Parameters) Add(parameter.ParameterType);
            if (method is GenericInstanceMethod generic)
                foreach (TypeReference argument in generic.GenericArguments) Add(argument);
        }

        void AddConstraints(IGenericParameterProvider provider)
        {
            foreach (GenericParameter parameter in provider.GenericParameters)
                foreach (GenericParameterConstraint constraint in parameter.Constraints) Add(constraint.ConstraintType);
        }

        void AddAttributes(ICustomAttributeProvider provider)
        {
            foreach (CustomAttribute attribute in provider.CustomAttributes)
            {
                Add(attribute.AttributeType);
                foreach (CustomAttributeArgument argument in attribute.ConstructorArguments)
                    if (argument.Value is TypeReference named) Add(named);
            }
        }

        void Add(TypeReference? used)
        {
            switch (used)
            {
                case null or GenericParameter:
                    return;
                case GenericInstanceType generic:
                    Add(generic.ElementType);
                    foreach (TypeReference argument in generic.GenericArguments) Add(argument);
                    return;
                case IModifierType modifier:
                    Add(modifier.ModifierType);
                    Add(modifier.ElementType);
                    return;
                case FunctionPointerType pointer:
                    Add(pointer.ReturnType);
                    foreach (ParameterDefinition parameter in pointer.Parameters) Add(parameter.ParameterType);
                    return;
                case TypeSpecification specification:
                    Add(specification.ElementType);
                    return;
                default:
                    keys.Add(KeyOf(used));
                    return;
            }
        }
    }
}
